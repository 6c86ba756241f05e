"""Generate a folder of images: what is asked for, where each image starts, and the files."""
