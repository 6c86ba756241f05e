"""Upscaling images with a trained model: those of a folder, or those that another one generates."""
