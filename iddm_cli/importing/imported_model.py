"""The result of an import, and the checks that all readers of model files share."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from iddm_cli.checkpoints.tensors import (
    Tensors,
    TensorSpecs,
    check_compatible,
    find_non_finite,
    truncate,
)
from iddm_cli.errors import CheckpointError, UsageError
from iddm_cli.importing.options import ImportOptions
from iddm_cli.profiles.checking.messages import explain_errors
from iddm_cli.profiles.checking.rules import check_rules
from iddm_cli.profiles.profile import Profile, ResolvedProfile
from iddm_cli.records.latent_scale import LatentScale
from iddm_cli.value_range import ValueRange

DescribeNetwork = Callable[[ResolvedProfile, int], TensorSpecs]
"""Returns the specs of the tensors of a profile's network with K classes, without creating it."""

UNKNOWN_DATA_PATH = "not-known"
"""Value of data.path until the run is trained for the first time."""

FLOAT_TYPES = ("float16", "bfloat16", "float64")
"""Types of weights that are converted to float32."""


@dataclass(frozen=True)
class ImportedModel:
    """A model read from a file.

    Attributes:
        form: The kind of file: IDDM, diffusers or safetensors.
        profile: How the model was trained, as far as the file says it.
        classes: Class names by label.
        raw: Raw weights, under our names.
        average: Averaged weights, under our names.
        notes: What was assumed or left out, in sentences.
        values: The range of values that it was trained on; None if the file does not say.
        latent_scale: The scale of the latents that it was trained on; None: it has pixels. The
            file contains their autoencoder.
    """

    form: str
    profile: ResolvedProfile
    classes: tuple[str, ...]
    raw: Tensors
    average: Tensors
    notes: tuple[str, ...] = ()
    values: ValueRange | None = None
    latent_scale: LatentScale | None = None


def _resolve_channels(profile: Profile) -> ResolvedProfile:
    if profile.data.channels == "auto":
        raise CheckpointError("its profile does not contain the number of channels")
    return profile.resolve(profile.data.channels)


def build_profile(tables: dict[str, dict[str, Any]], options: ImportOptions) -> ResolvedProfile:
    """Return the profile of an imported model, validated like a user's.

    Raises:
        CheckpointError: The file has a setting that no profile can express.
        UsageError: An option has.
    """
    try:
        profile = Profile.model_validate(tables)
    except ValidationError as error:
        issues = explain_errors(error)
    else:
        issues = list(check_rules(profile))
        if not issues:
            return _resolve_channels(profile)
    problems = "; ".join(truncate(issue.problem) for issue in issues[:3])
    if options.image_size is not None and issues[0].path[:2] == ("data", "image_size"):
        raise UsageError(f"--image-size: {problems}", issues[0].hint)
    raise CheckpointError(f"it cannot be imported: {problems}", issues[0].hint)


def build_data_section(size: object, channels: object, *, classes: int) -> dict[str, Any]:
    """Return the data section of a model whose training images are unknown."""
    return {
        "path": UNKNOWN_DATA_PATH,
        "image_size": list(size) if isinstance(size, tuple) else size,
        "channels": channels,
        "conditional": classes > 0,
    }


def check_weights(expected: TensorSpecs, stored: TensorSpecs, what: str) -> None:
    """Check the name, shape and type of every tensor, before any is read.

    Raises:
        CheckpointError: A tensor is missing, unexpected, or of another shape or type.
    """
    converted = {
        name: (shape, "float32" if kind in FLOAT_TYPES else kind)
        for name, (shape, kind) in stored.items()
    }
    check_compatible(expected, converted, what, hint="iddm imports known networks only.")


def to_weights(tensors: Tensors, what: str) -> Tensors:
    """Return copies of tensors as float32.

    Raises:
        CheckpointError: One holds numbers that are not finite.
    """
    copies = {name: tensor.detach().float().clone() for name, tensor in tensors.items()}
    name = find_non_finite(copies)
    if name is not None:
        raise CheckpointError(f"{what}: {truncate(name)} holds numbers that are not finite")
    return {name: tensor.contiguous() for name, tensor in copies.items()}
