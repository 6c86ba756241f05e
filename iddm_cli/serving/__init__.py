"""Trained models as an HTTP service that batches the images of many requests."""
