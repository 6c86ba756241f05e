"""Packs: every image of a dataset decoded once, into one array in the cache."""
