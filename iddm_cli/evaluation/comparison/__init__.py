"""Comparison of two sets of feature vectors: distances, rates, intervals and floors."""
