"""The data loader: from a pack to the tensors of a training step (torch begins here)."""
