"""Settings with which a training takes less memory, those that change the least first."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from iddm_cli.profiles.profile import ResolvedProfile

Change = tuple[tuple[str, ...], "ResolvedProfile"]
"""The arguments of --set, and the profile with them."""


def iter_same_results(profile: "ResolvedProfile") -> Iterator[Change]:
    """Yield changes after which the same weights result, to rounding: none, and recomputing.

    The first may still need micro-batches.
    """
    yield (), profile
    if profile.training.recompute == "none":
        yield from _apply(profile, {"training.recompute": "blocks"})


def iter_other_networks(profile: "ResolvedProfile") -> Iterator[Change]:
    """Yield changes that train another network, or images of another size.

    Patches come first, then attention on the innermost level alone, and the same where blocks are
    recomputed; then a narrower network, and smaller images, or crops where crops are trained on.
    """
    model = profile.model.model_dump()
    changes: list[dict[str, object]] = []
    if side := model.get("patch_size"):
        changes += [{"model.patch_size": factor * side} for factor in (2, 4)]
    innermost = len(model.get("channel_multipliers", ())) - 1
    if model.get("attention_levels", [innermost]) != [innermost]:
        changes.append({"model.attention_levels": [innermost]})
    if profile.training.recompute == "none":
        changes += [{**change, "training.recompute": "blocks"} for change in changes]
    changes += [
        {f"model.{key}": model[key] // n} for key in profile.model.size_keys[:1] for n in (2, 4)
    ]
    height, width = profile.data.size
    key = "data.image_size" if profile.data.crop is None else "data.crop"
    for n in (2, 4, 8):
        size = [height // n, width // n]
        changes.append({key: size[0] if height == width else size})
    for change in changes:
        yield from _apply(profile, change)


def _apply(profile: "ResolvedProfile", change: Mapping[str, object]) -> Iterator[Change]:
    """Yield a change, if it makes a valid profile."""
    from pydantic import ValidationError

    from iddm_cli.profiles.checking.rules import check_rules

    values = profile.model_dump()
    for dotted, value in change.items():
        section, _, key = dotted.partition(".")
        values[section][key] = value
    if "data.crop" in change:
        values["data"]["image_size"] = change["data.crop"]  # as --set data.crop does
    try:
        changed = type(profile).model_validate(values)
    except ValidationError:
        return
    if not any(check_rules(changed)):
        settings = (f"{key}={value}".replace(" ", "") for key, value in change.items())
        yield tuple(settings), changed
