"""What runs and exported files record as JSON: as data, for whatever reads or writes it."""
