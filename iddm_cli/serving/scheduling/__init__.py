"""Scheduling: requests to jobs, jobs to batches that advance together."""
