"""Indexing: which files of a folder or archive are images, and the class of each."""
