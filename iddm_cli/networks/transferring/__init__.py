"""Weights of a trained network in another one: other classes, more levels, adapters."""
