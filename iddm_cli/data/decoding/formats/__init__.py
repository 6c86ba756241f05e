"""The image formats: one table of them, and a module for each way of reading."""
