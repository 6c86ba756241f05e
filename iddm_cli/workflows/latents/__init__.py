"""Latent diffusion: autoencoder runs, and the models that are trained on their latents."""
