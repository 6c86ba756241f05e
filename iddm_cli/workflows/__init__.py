"""Workflows: what each command does, usable and testable without Typer."""
