"""Datasets at remote places, such as s3:// and https://, fetched to the cache through fsspec."""
