"""Solvers: for each sampler, the function that writes down the coefficients of its steps.

They use alpha and sigma alone, so each works with every noise schedule. All compute in float64;
the table is rounded to float32 at the end. A file holds a family of methods.
"""
