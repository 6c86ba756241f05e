"""Commands: one file each; they parse, check what is cheap, and ask the engine."""
