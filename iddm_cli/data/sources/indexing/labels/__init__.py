"""Labels: the class of each image, from tables, JSON files, sidecar files or file names."""
