"""Weights that a new run starts from, adapted to its network."""
