"""Runs: the run folder, its lock, the registry of runs, and exported model files."""
