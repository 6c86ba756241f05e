"""Dataset sources: folders, archives, built-in datasets and the demo behind one contract."""
