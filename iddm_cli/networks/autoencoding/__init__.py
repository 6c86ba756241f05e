"""The autoencoder of latent diffusion: from images to latents, and back."""
