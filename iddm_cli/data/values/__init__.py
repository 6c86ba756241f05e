"""Values: which numbers the images of a dataset hold, and the range of them that is trained on."""
