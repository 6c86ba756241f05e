"""The engine: trains a denoiser, keeps its checkpoints, draws pictures from it."""
