"""Subcommands that make a trained run need fewer network calls."""
