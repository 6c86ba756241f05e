"""Usefulness: whether generated images help to train a classifier on few real ones.

Public studies find both outcomes, so the comparison must be able to say no. Every arm trains the
same network, from the same weights, for as many updates, on the same real images; the arms differ
in what is added to these.
"""

from iddm_cli.evaluation.usefulness.generated_filter import filter_generated
from iddm_cli.evaluation.usefulness.measurement import measure_usefulness

__all__ = ["filter_generated", "measure_usefulness"]
