"""The folder that images are generated into: its names, its files, and what is there already."""
