"""Encodings: in which one the names of files, or the cells of a table, were written."""
