"""Inspection: what is in a dataset, and what to know before training on it."""
