"""Attach a dataset to an imported run, whose training images are unknown."""

import unicodedata
from typing import TYPE_CHECKING

from iddm_cli.errors import DatasetError
from iddm_cli.runs.run import Run
from iddm_cli.workflows.training.data import describe_dataset

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from iddm_cli.data.packs.pack import Pack
    from iddm_cli.profiles.overrides import Override

MAX_LISTED_CLASSES = 12


def has_dataset(run: Run) -> bool:
    """Return whether the run knows its dataset; an imported one gets it when it is resumed."""
    dataset = run.read_json("dataset.json")
    return "digest" not in dataset or dataset["digest"] is not None


def require_dataset(run: Run, overrides: "Sequence[Override]") -> None:
    """Check that the command names a dataset for an imported run.

    Raises:
        DatasetError: It names none.
    """
    if not any(override.key == "data.path" for override in overrides):
        raise DatasetError(
            f"run {run.name} was imported, so it has no images to train on",
            f"Name their folder: iddm resume {run.name} --set data.path=FOLDER",
        )


def align_classes(pack: "Pack", classes: tuple[str, ...], run_name: str) -> "Pack":
    """Return the pack with labels in the order of the run's classes.

    Raises:
        DatasetError: Its classes differ from the run's.
    """
    names = [unicodedata.normalize("NFC", name) for name in classes]
    if pack.classes == classes:
        return pack
    if sorted(pack.classes) != sorted(names):
        raise DatasetError(
            f"run {run_name} has the classes {_list_classes(classes)}, and these images have "
            f"{_list_classes(pack.classes)}",
            "Name the folders of the images as the run names its classes, or import the model "
            "again with --class-names.",
        )
    import numpy as np

    return pack.with_classes(classes, np.array([names.index(name) for name in pack.classes]))


def _list_classes(classes: tuple[str, ...]) -> str:
    ellipsis = ", ..." if len(classes) > MAX_LISTED_CLASSES else ""
    return ", ".join(classes[:MAX_LISTED_CLASSES]) + ellipsis if classes else "none"


def describe_difference(dataset: "Mapping[str, object]", pack: "Pack") -> str:
    """Return how a pack differs from the dataset of a run, as far as dataset.json knows it.

    Args:
        dataset: The content of dataset.json.
        pack: The images found now.
    """
    stored = dataset.get("classes")
    before = stored if isinstance(stored, dict) else {}
    now = dict(zip(pack.classes, pack.class_counts(), strict=True))
    changes = [
        f"{name} {before.get(name, 0)} → {now.get(name, 0)}"
        for name in dict.fromkeys([*before, *now])
        if before.get(name, 0) != now.get(name, 0)
    ]
    sizes = [(dataset.get(key), getattr(pack, key)) for key in ("channels", "height", "width")]
    if any(old not in (None, new) for old, new in sizes):
        then, today = (" x ".join(str(size[i]) for size in sizes) for i in (0, 1))
        return f"channels, height and width were {then}, and are {today} now"
    counts = f"there were {dataset.get('count')}, there are {pack.count} now"
    if origin := describe_other_origin(dataset, pack):
        counts += f"; {origin}"
    if changes:
        rest = len(changes) - MAX_LISTED_CLASSES
        more = f" and {rest} more classes" if rest > 0 else ""
        return f"{counts}: {', '.join(changes[:MAX_LISTED_CLASSES])}{more}"
    if origin or dataset.get("count") != pack.count:
        return counts
    return f"there are {pack.count} as before, but some look different or have another name"


def describe_other_origin(dataset: "Mapping[str, object]", pack: "Pack") -> str:
    """Return from where the held-out images came, and come now; "" if that is the same."""
    held_out = dataset.get("held_out")
    before = held_out.get("from") if isinstance(held_out, dict) else "off"
    now = pack.held_out_facts.origin
    return f"held out: {before} → {now}" if before != now else ""


def describe_other_held_out(run: Run, pack: "Pack") -> str:
    """Return a note if the held-out images are not those of the run any more; else ""."""
    held_out = run.read_json("dataset.json").get("held_out")
    if not isinstance(held_out, dict):
        return ""
    now = pack.report_held_out()
    if held_out.get("digest", "") == now.digest:
        return ""
    return (
        f"the held-out images have changed ({held_out.get('count')}, now {now.count}): losses on "
        "them cannot be compared with those before"
    )


def advise_layout(run: Run, pack: "Pack") -> str:
    """Return the sentence about a run whose images an older version of iddm understood otherwise.

    It is empty if all folders of the dataset are classes anyway.
    """
    setting = "data.layout=folders"
    if not any(setting in note for note in pack.notes):
        return ""
    return f"If the run was trained on every folder: iddm resume {run.name} --set {setting}. "


def record_dataset(run: Run, pack: "Pack", path: str) -> None:
    """Record, once, the dataset that an imported run is trained on."""
    if not has_dataset(run):
        run.write_json("dataset.json", describe_dataset(pack, path))
