"""Averages of the weights whose length is chosen after training."""
