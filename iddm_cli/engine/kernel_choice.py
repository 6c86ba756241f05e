"""The choice of kernels: which of them train a network fastest on this machine.

It is measured once for a machine, network and precision, and kept in the cache, since the kernels
decide the last bits of the weights. A run that is resumed keeps those of its checkpoint.
"""

import copy
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import torch
from torch import Tensor

from iddm_cli.data.cache_records import locate_record, save_record
from iddm_cli.diffusion.denoiser import Denoiser
from iddm_cli.engine import randomness
from iddm_cli.engine.device import autocast
from iddm_cli.errors import DatasetError
from iddm_cli.machine.cpus import read_cpu_model
from iddm_cli.networks.kernels import KERNELS, use_kernels

MEASURED_FROM = 1_000_000
"""Networks of fewer parameters use `USUAL` without a measurement."""

USUAL = "contiguous-matmul"
"""Fastest in bf16 on the processor that the benchmarks ran on (AVX-512 with bf16)."""

MARGIN = 0.97
"""Other kernels than `USUAL` must take less than this share of its time: noise must not decide."""

FEW, MANY = 8, 32
"""Images of the first comparison, and of the second, in which faster ones must prove themselves."""

FEW_PIXELS = FEW * 64 * 64
"""Pixels of the first comparison at most, but for two images, so that large ones fit the memory."""

ROUNDS = 3
SHORT = 0.5
"""Seconds of a pass over a few images up to which it is repeated, and many are measured at all."""


def choose_kernels(denoiser: Denoiser, shape: tuple[int, int, int], precision: str) -> str:
    """Return the name of the kernels that train a network fastest on the CPU.

    Args:
        denoiser: The denoiser, on the CPU; it stays as it is.
        shape: Channels, height and width of what the network reads.
        precision: fp32, bf16 or fp16.
    """
    parameters = {name: tuple(p.shape) for name, p in denoiser.named_parameters()}
    if sum(p.numel() for p in denoiser.parameters()) < MEASURED_FROM:
        return USUAL
    machine = (read_cpu_model(), torch.get_num_threads(), torch.__version__)
    try:
        record = locate_record("kernels", [*machine, precision, shape, parameters], suffix=".txt")
    except DatasetError:  # there is no folder for the cache
        return select_fastest(measure_kernels(denoiser, shape, precision))
    name = _read_choice(record)
    if name is None:
        name = select_fastest(measure_kernels(denoiser, shape, precision))
        save_record(record, f"{name}\n".encode())
    return name


def select_fastest(seconds: dict[str, float]) -> str:
    """Return the name of the fastest kernels; `USUAL` where they are hardly faster.

    Args:
        seconds: The time of each kernels, by their name.
    """
    fastest = min(seconds, key=lambda name: seconds[name])
    return fastest if seconds[fastest] < MARGIN * seconds[USUAL] else USUAL


def measure_kernels(
    denoiser: Denoiser, shape: tuple[int, int, int], precision: str
) -> dict[str, float]:
    """Return the time of a forward and backward pass with the fastest kernels, in seconds.

    Which kernels are fastest depends on the number of images, so those that are faster than `USUAL`
    with a few images are compared with it again with more. A network whose pass takes long is large
    enough to show the difference with a few.

    Args:
        denoiser: The denoiser, on the CPU; it stays as it is.
        shape: Channels, height and width of what the network reads.
        precision: fp32, bf16 or fp16.

    Returns:
        The shortest time, by name, of `USUAL` and of all that may be faster.
    """
    images = max(2, min(FEW, FEW_PIXELS // (shape[1] * shape[2])))
    few = time_kernels(denoiser, shape, precision, KERNELS, images=images)
    faster = [name for name, taken in few.items() if taken < MARGIN * few[USUAL]]
    if not faster or few[USUAL] > SHORT or images < FEW:
        return few
    return time_kernels(denoiser, shape, precision, [USUAL, *faster], images=MANY)


def time_kernels(
    denoiser: Denoiser,
    shape: tuple[int, int, int],
    precision: str,
    names: Iterable[str],
    *,
    images: int,
) -> dict[str, float]:
    """Return the shortest time of a forward and backward pass with each of these kernels.

    They take turns, so that whatever else the machine does affects all of them.

    Args:
        denoiser: The denoiser, on the CPU; it stays as it is.
        shape: Channels, height and width of what the network reads.
        precision: fp32, bf16 or fp16.
        names: The kernels to measure.
        images: Number of images of a pass.
    """
    items = torch.arange(images)
    x = randomness.normal(0, "trial", items=items, step=0, shape=shape)
    trials = {name: copy.deepcopy(denoiser) for name in names}
    seconds = dict.fromkeys(trials, float("inf"))
    for name, trial in trials.items():
        use_kernels(trial.backbone, KERNELS[name])
        _compute_gradients(trial, x, precision)
    for name in [*trials] * ROUNDS:
        if seconds[name] < SHORT or seconds[name] == float("inf"):
            start = time.perf_counter()
            _compute_gradients(trials[name], x, precision)
            seconds[name] = min(seconds[name], time.perf_counter() - start)
    return seconds


def _compute_gradients(denoiser: Denoiser, x: Tensor, precision: str) -> None:
    label = torch.zeros(len(x), dtype=torch.int64)
    with torch.random.fork_rng([]), autocast(x.device, precision):
        noise, _ = denoiser.split_condition(x)
        denoiser.loss(x, label, noise, label).mean().backward()
    denoiser.zero_grad(set_to_none=True)


def _read_choice(record: Path) -> str | None:
    with suppress(OSError, ValueError):
        name = record.read_text(encoding="ascii").strip()
        return name if name in KERNELS else None
    return None
