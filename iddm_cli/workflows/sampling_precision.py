"""The precision of generated images, and how close it is to fp32: measured once, and recorded.

A record is a small file of the cache, `precision/<key>.json`. Its key is a digest of everything
that the comparison depends on: weights, network, sampler settings, device, version of PyTorch. A
run may be read-only and its files may move to other machines, so the run holds no records.
"""

import contextlib
import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from iddm_cli.data.cache_records import locate_record, save_record
from iddm_cli.data.progress import ProgressCallback, no_progress
from iddm_cli.errors import DatasetError
from iddm_cli.workflows.tuning.tuned_models import list_table_facts, select_tables

if TYPE_CHECKING:
    import torch

    from iddm_cli.checkpoints.weights_source import WeightsSource
    from iddm_cli.distributed.group import ProcessGroup
    from iddm_cli.engine.image_generator import ImageGenerator
    from iddm_cli.engine.reduced_precision.precision_comparison import PrecisionComparison
    from iddm_cli.profiles.profile import ResolvedProfile
    from iddm_cli.workflows.guiding import GuidingModel
    from iddm_cli.workflows.models import ModelSource

FORMAT = 1
FEWEST_IMAGES = 64
"""Images from which on auto compares precisions. The comparison takes the time of about 12 images
in fp32 where a lower precision is twice as fast, and of 16 where it gains little."""

MOST_SERVED_STEPS = 100
"""Network calls up to which a server compares precisions while it starts."""

MAX_RECORD_BYTES = 10_000


def build_sampling_generator(
    model: "ModelSource",
    profile: "ResolvedProfile",
    source: "WeightsSource",
    *,
    images: int,
    progress: ProgressCallback = no_progress,
    guide: "GuidingModel | None" = None,
    device: "torch.device | None" = None,
    group: "ProcessGroup | None" = None,
) -> "ImageGenerator":
    """Build the image generator of a model, with the precision that its settings stand for.

    Args:
        model: The model.
        profile: Its profile, with the sampling section to use.
        source: Its weights.
        images: Number of images to generate, see `resolve_precision`.
        progress: Called while precisions are compared.
        guide: The weaker model of autoguidance; None: guidance is classifier-free.
        device: The device; None: the one that the profile names.
        group: The processes that share this machine; None: there are no others.

    Raises:
        IddmError: The weights are damaged, or this machine lacks the device.
    """
    from iddm_cli.build.compute import setup_compute
    from iddm_cli.build.models import build_image_generator
    from iddm_cli.distributed.group import SINGLE_PROCESS

    compute = setup_compute(profile.runtime, device, group or SINGLE_PROCESS)
    tables = select_tables(model, profile, source, guide.name if guide else "")
    generator = build_image_generator(
        profile,
        model.classes,
        source,
        compute,
        model.values,
        weaker=guide.load_denoiser(compute.device) if guide else None,
        tables=tables,
    )
    facts = list_facts(model, profile, source, guide)
    precision = resolve_precision(
        profile, compute.device, facts, lambda: generator, images=images, progress=progress
    )
    return generator.with_precision(precision)


def list_facts(
    model: "ModelSource",
    profile: "ResolvedProfile",
    source: "WeightsSource",
    guide: "GuidingModel | None" = None,
) -> list[object]:
    """Return what images depend on besides seed, index, class and precision, as JSON."""
    from iddm_cli.checkpoints.checkpoint import PART_OF_WEIGHTS

    sampling = profile.sampling
    settings = sampling.model_dump(exclude={"batch_size", "weights", "precision"})
    return [
        source.digest(PART_OF_WEIGHTS[sampling.weights]),
        {**settings, "steps": count_steps(profile)},
        profile.model.model_dump(),
        profile.diffusion.model_dump(),
        profile.data.shape,
        model.values.levels,
        len(model.classes),
        *([] if guide is None else guide.list_facts()),
        *list_table_facts(model, profile),
    ]


def resolve_precision(
    profile: "ResolvedProfile",
    device: "torch.device",
    facts: list[object],
    build: "Callable[[], ImageGenerator]",
    *,
    images: int,
    progress: ProgressCallback = no_progress,
) -> str:
    """Return the precision that sampling.precision stands for: fp32, bf16 or fp16.

    auto is the fast precision of the device if images in it are close to those of fp32. A record
    of that is used; without one, precisions are compared where enough images follow to pay for it,
    and auto is fp32 otherwise.

    Args:
        profile: The profile, with the sampling section to use.
        device: The device.
        facts: See `list_facts`.
        build: Returns the image generator, for a comparison.
        images: Number of images to generate.
        progress: Called while precisions are compared.
    """
    from iddm_cli.engine.device import choose_precision

    wanted = profile.sampling.precision
    candidate = choose_precision(wanted, device)
    if wanted != "auto" or candidate == "fp32":
        return candidate
    path = find_record(facts, device, candidate)
    comparison = read_record(path)
    if comparison is None:
        if images < FEWEST_IMAGES:
            return "fp32"
        from iddm_cli.engine.reduced_precision.precision_comparison import compare_with_fp32

        progress(f"comparing {candidate} with fp32", 0, 1)
        comparison = compare_with_fp32(build(), candidate)
        write_record(path, comparison)
    return candidate if comparison.is_close else "fp32"


def find_record(facts: list[object], device: "torch.device", precision: str) -> Path | None:
    """Return the path of the record of a comparison; None where there is no folder for it."""
    import torch

    from iddm_cli.engine.device import describe_arithmetic

    arithmetic = [describe_arithmetic(device), torch.__version__, precision]
    with contextlib.suppress(DatasetError):
        return locate_record("precision", [FORMAT, *facts, *arithmetic])
    return None


def read_record(path: Path | None) -> "PrecisionComparison | None":
    """Return the comparison in a record; None where there is none, or it is damaged."""
    from iddm_cli.engine.reduced_precision.precision_comparison import PrecisionComparison

    try:
        if path is None:
            return None
        with path.open("rb") as file:
            document = json.loads(file.read(MAX_RECORD_BYTES))
        comparison = PrecisionComparison(**document)
        valid = isinstance(comparison.difference, float) and comparison.is_invariant in (
            True,
            False,
        )
    except (OSError, ValueError, TypeError, RecursionError):
        return None
    return comparison if valid else None


def write_record(path: Path | None, comparison: "PrecisionComparison") -> None:
    """Write the record of a comparison; without a writable cache it is measured again next time."""
    if path is not None:
        save_record(path, json.dumps(asdict(comparison)).encode())


def count_served_images(profile: "ResolvedProfile") -> int:
    """Return for how many images a server chooses its precision.

    How many requests follow is unknown, so it compares wherever that is quick: its start waits.
    """
    return FEWEST_IMAGES if count_steps(profile) <= MOST_SERVED_STEPS else 0


def count_steps(profile: "ResolvedProfile") -> int:
    """Return the number of network calls that a profile stands for."""
    from iddm_cli.profiles.choices import usual_steps

    sampling = profile.sampling
    return sampling.steps or usual_steps(sampling.sampler, profile.diffusion.timesteps)
