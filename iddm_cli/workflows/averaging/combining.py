"""Combine the EMAs that a run has stored into an average, and write it into the run."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from iddm_cli.errors import CheckpointError, RunError
from iddm_cli.records.weights_names import name_average
from iddm_cli.workflows import models
from iddm_cli.workflows.averaging.stored_averages import StoredAverage

if TYPE_CHECKING:
    from iddm_cli.checkpoints.averages import SynthesizedAverage
    from iddm_cli.checkpoints.tensors import Tensors
    from iddm_cli.engine.averaging.synthesis import Synthesis


def write_average(
    model: models.RunModel, stored: Sequence[StoredAverage], synthesis: "Synthesis"
) -> "SynthesizedAverage":
    """Combine what is stored, and write the average into the run.

    Raises:
        CheckpointError: Something stored is damaged.
        RunError: The average cannot be written.
    """
    from iddm_cli.checkpoints.averages import AverageFolder
    from iddm_cli.engine.averaging.power_function import gamma_of

    combined = [
        {
            "step": each.step,
            "coefficient": coefficient,
            "origin": each.origin,
            "ema_decay": each.ema_decay,
            "sha256": each.sha256,
        }
        for each, coefficient in zip(stored, synthesis.coefficients, strict=True)
    ]
    facts = {
        "name": name_average(synthesis.length),
        "length": synthesis.length,
        "gamma": gamma_of(synthesis.length),
        "step": synthesis.step,
        "similarity": synthesis.similarity,
        "combined": combined,
    }
    folder = AverageFolder(model.run.averages_dir)
    try:
        return folder.write(combine(stored, synthesis.coefficients), facts)
    except OSError as error:
        raise RunError(f"{folder.path} cannot be written: {error.strerror or error}") from error


def combine(stored: Sequence[StoredAverage], coefficients: Sequence[float]) -> "Tensors":
    """Return the sum of stored EMAs times their coefficients, added up in float64.

    Numbers of other types are taken from the last one.

    Raises:
        CheckpointError: One is damaged, or of another network.
    """
    import torch

    *others, last = stored
    newest = last.read()
    sums = {
        name: tensor.double() * coefficients[-1]
        for name, tensor in newest.items()
        if tensor.is_floating_point()
    }
    for each, coefficient in zip(others, coefficients, strict=False):
        tensors = each.read()
        for name, total in sums.items():
            if name not in tensors or tensors[name].shape != total.shape:
                raise CheckpointError(
                    f"the {each.origin} of step {each.step} is of another network than that of "
                    f"step {last.step}: {name}"
                )
            total.add_(tensors[name], alpha=coefficient)
    return newest | {name: total.to(torch.float32) for name, total in sums.items()}
