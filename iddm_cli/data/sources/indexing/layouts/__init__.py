"""Layouts: which folders of a dataset are classes, and which only surround or accompany them."""
