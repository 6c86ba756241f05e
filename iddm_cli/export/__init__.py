"""Export of trained models to files for other programs; `formats.py` lists the formats."""
