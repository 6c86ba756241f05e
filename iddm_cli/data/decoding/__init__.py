"""Decoding: image files to uint8 arrays of one size, in parallel worker processes."""
