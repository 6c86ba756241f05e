"""Scheduling: requests become jobs, and samples of many jobs share batches."""
