"""Checkpoints: folders of safetensors and JSON; written, verified, pruned and read."""
