"""Samples of a training: the grids of images that a run shows while it trains."""
