"""Everything a person sees: all output of the program goes through here."""
