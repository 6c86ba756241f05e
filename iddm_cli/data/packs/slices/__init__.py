"""Packs of several files: built in slices, which processes and machines divide among them."""
