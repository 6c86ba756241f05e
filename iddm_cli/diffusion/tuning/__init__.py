"""Tuning a sampler to one network: a searched time grid, and fitted coefficients."""
