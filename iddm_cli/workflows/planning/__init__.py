"""The plan of a training: steps, time and memory, and what to set where it does not fit."""
