"""The precision of generated images, and how close it is to fp32: measured once, and recorded.

It is a function of the trained network and the machine: what a command asks for, such as the number
of images, the sampler or the guidance, does not change it, so the same seed gives the same images.

A record is a small file of the cache, `precision/<key>.json`. Its key is a digest of everything
that the comparison depends on: weights, network, the run's own sampler settings, device, version of
PyTorch. A run may be read-only and its files may move to other machines, so the run holds no
records.
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
from iddm_cli.records.weights_names import part_of_weights
from iddm_cli.workflows.latents.own_encoder import list_decoder_facts, load_model_decoder
from iddm_cli.workflows.tuning.tuned_models import list_table_facts, select_tables

if TYPE_CHECKING:
    import torch

    from iddm_cli.checkpoints.weights_source import WeightsSource
    from iddm_cli.distributed.group import ProcessGroup
    from iddm_cli.engine.image_generator import ImageGenerator
    from iddm_cli.engine.reduced_precision.precision_comparison import PrecisionComparison
    from iddm_cli.profiles.profile import ResolvedProfile
    from iddm_cli.profiles.settings import SamplingSettings
    from iddm_cli.workflows.models import ModelSource
    from iddm_cli.workflows.sampling.guiding import GuidingModel

FORMAT = 2
MOST_COMPARED_CALLS = 20
"""Network calls of the images that are compared, where the run's own sampler makes more."""

MAX_RECORD_BYTES = 10_000


def build_sampling_generator(
    model: "ModelSource",
    profile: "ResolvedProfile",
    source: "WeightsSource",
    *,
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
        decoder=load_model_decoder(model, profile, compute.device),
    )
    precision = resolve_precision(
        model, profile, source, compute.device, lambda: generator, progress=progress
    )
    return generator.with_precision(precision)


def list_facts(
    model: "ModelSource",
    profile: "ResolvedProfile",
    source: "WeightsSource",
    guide: "GuidingModel | None" = None,
) -> list[object]:
    """Return what images depend on besides seed, index, class and precision, as JSON."""
    sampling = profile.sampling
    # No image that is compared or evaluated is larger than the network computes at once.
    unused = {"batch_size", "weights", "precision", "window_overlap"}
    settings = sampling.model_dump(exclude=unused)
    return [
        source.digest(part_of_weights(sampling.weights)),
        {**settings, "steps": count_steps(profile)},
        profile.model.model_dump(),
        profile.diffusion.model_dump(),
        profile.data.shape,
        model.values.levels,
        len(model.classes),
        *([] if guide is None else guide.list_facts()),
        *list_table_facts(model, profile),
        *list_decoder_facts(model, profile),
        *([profile.data.whole_size] if profile.data.crop_position else []),
    ]


def resolve_precision(
    model: "ModelSource",
    profile: "ResolvedProfile",
    source: "WeightsSource",
    device: "torch.device",
    build: "Callable[[], ImageGenerator]",
    *,
    progress: ProgressCallback = no_progress,
) -> str:
    """Return the precision that sampling.precision stands for: fp32, bf16 or fp16.

    auto is the fast precision of the device if images in it are close to those of fp32. A record
    of that is used; without one, precisions are compared.

    Args:
        model: The model.
        profile: Its profile, with the sampling section to use.
        source: Its weights.
        device: The device.
        build: Returns an image generator of it, for a comparison.
        progress: Called while precisions are compared.
    """
    from iddm_cli.engine.device import choose_precision

    wanted = profile.sampling.precision
    candidate = choose_precision(wanted, device)
    if wanted != "auto" or candidate == "fp32":
        return candidate
    sampling, data = choose_compared_sampling(model, profile), profile.data.at_window_size()
    compared = profile.model_copy(update={"sampling": sampling, "data": data})
    path = find_record(list_facts(model, compared, source), device, candidate)
    comparison = read_record(path)
    if comparison is None:
        from iddm_cli.engine.reduced_precision.precision_comparison import compare_with_fp32

        progress(f"comparing {candidate} with fp32", 0, 1)
        generator = build().sampling_with(compared.sampling)
        comparison = compare_with_fp32(generator, candidate)
        write_record(path, comparison)
    return candidate if comparison.is_close else "fp32"


def choose_compared_sampling(
    model: "ModelSource", profile: "ResolvedProfile"
) -> "SamplingSettings":
    """Return the sampling settings of the images that are compared: the model's own, in few calls.

    Args:
        model: The model.
        profile: Its profile, with the weights to use.
    """
    from iddm_cli.profiles.choices import SAMPLER_SPECIFIC, SAMPLERS

    own = model.load_profile([])
    update: dict[str, object] = {"weights": profile.sampling.weights}
    if SAMPLERS[own.sampling.sampler].needs_tables:  # which may change, or be lost
        update |= {**SAMPLER_SPECIFIC, "sampler": "dpmpp-2m"}
        own = own.model_copy(update={"sampling": own.sampling.model_copy(update=update)})
    update["steps"] = min(count_steps(own), MOST_COMPARED_CALLS)
    return own.sampling.model_copy(update=update)


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


def count_steps(profile: "ResolvedProfile") -> int:
    """Return the number of network calls that a profile stands for."""
    from iddm_cli.profiles.choices import usual_steps

    sampling = profile.sampling
    return sampling.steps or usual_steps(sampling.sampler, profile.diffusion.timesteps)
