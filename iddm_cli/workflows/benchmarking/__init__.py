"""Benchmark: how many images a second this machine trains and generates."""
