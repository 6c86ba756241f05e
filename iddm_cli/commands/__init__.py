"""Commands, one file each: they parse options, call one workflow, and print its result."""
