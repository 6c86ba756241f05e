"""Optimization: optimizers, and the learning rate of each step."""
