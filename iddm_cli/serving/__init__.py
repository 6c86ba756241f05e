"""Trained runs as an HTTP service: the pictures of many requests are drawn as one batch."""
