"""Tables of labels: one row for each image, in CSV, TSV or JSON lines."""
