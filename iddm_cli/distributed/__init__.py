"""Distributed training: process groups, rendezvous, launch and supervision of processes."""
