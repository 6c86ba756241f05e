"""References: what each image of a folder should be, matched by file name."""
