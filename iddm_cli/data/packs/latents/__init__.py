"""Latents of the images of a pack, in a file in its folder."""
