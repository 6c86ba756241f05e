"""The profile of a run that starts from a trained model.

Without a profile of its own it is the trained model's; with one, the network, the noise schedule,
the prediction and the size of images come from the trained model where the profile lacks them.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from iddm_cli.errors import UsageError
from iddm_cli.profiles.loading import find_setting, load_profile
from iddm_cli.profiles.origins.growth import (
    GROWING_KEYS,
    choose_growth,
    find_growth,
    measure_ratio,
)
from iddm_cli.profiles.overrides import Override
from iddm_cli.records.weights_names import is_named_average
from iddm_cli.workflows.training.resuming.changes import format_value
from iddm_cli.workflows.transferring.trained_source import TrainedSource, find_source, parse_source

if TYPE_CHECKING:
    from iddm_cli.profiles.profile import Profile, ResolvedProfile

FROM_SOURCE = ("data.image_size", "data.channels", "data.encoder", "diffusion.timesteps",
               "diffusion.schedule", "diffusion.noise_shift", "diffusion.zero_terminal_snr",
               "diffusion.prediction")  # fmt: skip
"""Settings that come from the trained model where a profile lacks them, besides the network's."""

MUST_EQUAL = ("diffusion.timesteps", "diffusion.schedule", "diffusion.prediction")
"""Settings by which the weights mean what they do, besides the network's."""

FREE_TO_CHANGE = ("model.dropout",)
"""Settings of the network that its weights do not depend on."""


def load_profile_to_train(
    profile: str | None,
    overrides: Sequence[Override],
    *,
    source: str | None,
    runs_dir: Path,
) -> "tuple[Profile, TrainedSource | None]":
    """Return the profile of a new run, and the trained model that it starts from, if it does.

    Args:
        profile: Name or path of the profile; None: that of the trained model.
        overrides: Settings of the command line.
        source: The value of --from: RUN, RUN@STEP or an exported file; None: not given.
        runs_dir: The folder of runs.

    Raises:
        IddmError: The profile is invalid, the model cannot be found, or the profile differs from it
            in what its weights depend on.
    """
    found = _find_named_source(profile, overrides, source, runs_dir)
    if found is None:
        return load_profile(str(profile), overrides), None
    wanted = [
        *overrides,
        Override("transfer.source", found.refer_from(runs_dir), "--from"),
        Override("transfer.source_step", found.step, "--from"),
        Override("transfer.weights", found.weights, "--from"),
    ]
    before = found.load_profile()
    grown = choose_grown_settings(before, profile, overrides)
    if profile is None:
        found.check_has_images(overrides, "train on", f"iddm train --from {found.name}")
        reset = [Override("transfer.rename", [], "--from"),
                 Override("training.extensions", [], "--from"),
                 Override("data.whole_size", None, "--from"),
                 Override("training.lora_rank", 0, "--from"),
                 Override("sampling.weights", "average", "--from")]  # fmt: skip
        if any(override.key == "data.encoder" for override in overrides):
            reset.append(Override("data.latents", None, "--from"))  # follow from the encoder
        larger = [Override(key, value, "--from") for key, value in grown.items()]
        loaded: Profile = found.load_profile([*reset, *larger, *wanted])
    else:
        loaded = load_profile(profile, wanted, {**_list_defaults(before), **grown})
    check_carries_over(found.name, before, loaded)
    return loaded, found


def _find_named_source(
    profile: str | None, overrides: Sequence[Override], source: str | None, runs_dir: Path
) -> TrainedSource | None:
    """Find the model that --from names, or transfer.source of the profile; None without either."""
    weights = _check_weights(find_setting(profile, overrides, "transfer.weights"))
    if source is not None:
        return find_source(runs_dir, *parse_source(source), weights)
    named = find_setting(profile, overrides, "transfer.source")
    step = find_setting(profile, overrides, "transfer.source_step")
    if not isinstance(named, str) or not named:
        return None
    return find_source(runs_dir, named, step if type(step) is int else None, weights)


def _check_weights(value: object) -> str:
    """Return the weights that transfer.weights names; the averaged ones where it is not set.

    Raises:
        UsageError: It names none.
    """
    name = "average" if value is None else str(value)
    if name not in ("average", "raw") and not is_named_average(name):
        raise UsageError(
            f"transfer.weights: {name} names no weights",
            "Set average, raw, or an average of another length such as average-0.1.",
        )
    return name


def _list_defaults(before: "ResolvedProfile") -> dict[str, object]:
    """Return the settings that a run takes from the trained model, by their keys."""
    return {
        key: value
        for key, value in before.flatten().items()
        if key.startswith("model.") or key in FROM_SOURCE
    }


def choose_grown_settings(
    before: "ResolvedProfile", profile: str | None, overrides: Sequence[Override]
) -> dict[str, object]:
    """Return the settings that change with the size of images, where the user does not set them.

    The network grows by levels or patches. Averages of larger images have less noise than images of
    that size, in proportion to the ratio of their sides; the schedule makes up for it (Hoogeboom et
    al. 2023, arXiv:2301.11093, eq. 4), so that the trained levels see the noise that they know.

    Args:
        before: The profile of the trained model.
        profile: Name or path of the profile of the new run; None: that of the trained model.
        overrides: Settings of the command line.
    """
    keys = (*GROWING_KEYS, "data.image_size", "diffusion.noise_shift")
    found = {key: find_setting(profile, overrides, key) for key in keys}
    given = {key: value for key, value in found.items() if value is not None}
    size = _read_size(given.get("data.image_size"))
    if size is None or (ratio := measure_ratio(before.data.size, size)) <= 1:
        return {}
    factor = before.data.latents[1] if before.data.latents else 1
    sizes = before.data.diffused_size, (size[0] // factor, size[1] // factor)
    chosen = choose_growth(before.model, sizes, given)
    if "diffusion.noise_shift" not in given:
        chosen["diffusion.noise_shift"] = round(before.diffusion.noise_shift * ratio, 4)
    return chosen


def _read_size(value: object) -> tuple[int, int] | None:
    """Return the height and width that data.image_size names; None where it names none."""
    sides = value if isinstance(value, list) else [value, value]
    whole = [side for side in sides if type(side) is int and side > 0]
    return (whole[0], whole[1]) if len(whole) == len(sides) == 2 else None


def check_carries_over(name: str, before: "ResolvedProfile", now: "Profile") -> None:
    """Check that the weights of a trained model mean the same in a new run.

    Args:
        name: What messages call the model.
        before: Its profile.
        now: The profile of the new run.

    Raises:
        UsageError: A setting differs on which they depend; the message names it.
    """
    if differences := list(_list_differences(name, before, now)):
        raise UsageError(
            f"--from {name}: its weights do not suit this profile: {'; '.join(differences)}",
            f"Leave these settings out: they then come from {name}. Or train without --from.",
        )


def _list_differences(name: str, before: "ResolvedProfile", now: "Profile") -> Iterator[str]:
    old, new = before.flatten(), now.flatten()
    keys = [key for key in new if key.startswith("model.") and key not in FREE_TO_CHANGE]
    if old["model.network"] != new["model.network"]:
        keys = ["model.network"]
    growth = find_growth(before.model, now.model)
    if growth is not None:
        keys = [key for key in keys if key not in GROWING_KEYS]
    if growth and now.training.lora_rank:
        yield "its network grows, and training.lora_rank would freeze what is new in it"
    for key in (*keys, *MUST_EQUAL):
        if new[key] != old[key]:
            yield f"{key} is {format_value(new[key])}, and {format_value(old[key])} in {name}"
    if (new["data.encoder"] is None) != (old["data.encoder"] is None):
        yield (
            f"data.encoder is {format_value(new['data.encoder'])}, and "
            f"{format_value(old['data.encoder'])} in {name}"
        )
    channels, known = new["data.channels"], old["data.channels"]
    if channels not in ("auto", known) and now.model.is_upscaler:
        yield f"data.channels is {channels}, and {known} in {name}, which upscales images"
    elif channels not in ("auto", known, 1) and known != 1:
        yield f"data.channels is {channels}, and {known} in {name}: only grey becomes colour"
