"""Decoding: image files become uint8 arrays of one size, in parallel worker processes."""
