"""The machine as this process may use it: memory, cores, limits, folders of the user."""
