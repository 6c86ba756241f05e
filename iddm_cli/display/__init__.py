"""Display: everything a user sees in the terminal, and the inspection report."""
