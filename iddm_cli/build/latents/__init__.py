"""Latents: what autoencoders make of the images of packs, and how well."""
