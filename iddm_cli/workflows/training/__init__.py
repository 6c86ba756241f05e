"""Training workflows: start or resume a run, in one process or many, and log it."""
