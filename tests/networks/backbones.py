"""The networks that denoise: all but autoencoders."""

from iddm_cli.profiles.model_settings import MODEL_SETTINGS

DENOISING = [name for name, settings in MODEL_SETTINGS.items() if not settings.is_autoencoder]
