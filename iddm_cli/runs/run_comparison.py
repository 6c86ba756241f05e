"""Comparison of runs: the settings that differ, their results, and grids of the same noise."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from iddm_cli.errors import RunError
from iddm_cli.profiles.profile import Profile
from iddm_cli.runs.curves import ADVERSARIAL, Curve, collect_curves, is_band, is_loss, sum_seconds
from iddm_cli.runs.run import Run

FINAL_SHARE = 0.05
"""The final loss is the mean of this share of all logged losses."""

ABOUT_TRAINING = (*ADVERSARIAL, "lr", "grad_norm", "images_per_second", "tflops", "mfu")
"""Curves that say nothing about the result."""

LOSS_KEYS = (
    "diffusion.prediction", "diffusion.schedule", "diffusion.loss_weight", "diffusion.loss",
    "diffusion.timesteps",
    "diffusion.noise_shift", "diffusion.zero_terminal_snr", "diffusion.time_distribution",
    "data.image_size", "data.value_range",
)  # fmt: skip
"""Settings that decide what a loss measures."""

PIXEL_KEYS = (
    "data.image_size", "data.random_crop", "data.aspect", "data.background", "data.channels",
    "data.value_range",
)  # fmt: skip
"""Settings that decide which pixels the same files give, and so the digest of the dataset."""

GRID_NAME = re.compile(r"step-(\d{1,18})\.png")


@dataclass(frozen=True)
class LossResult:
    """Where a loss went.

    Attributes:
        last: Its last value; of the training loss, the mean of the last twentieth.
        best: Its lowest value.
        best_step: The step of its lowest value.
    """

    last: float
    best: float
    best_step: int


@dataclass(frozen=True)
class RunRecord:
    """What the files of a run record of it.

    Attributes:
        label: What tells it from the other runs: its name, or its path if names are equal.
        path: Its folder.
        state: running, finished, interrupted, failed, imported, killed or damaged.
        settings: Value of every setting by its dotted key.
        dataset: Content of dataset.json; empty if it cannot be read.
        step: Number of updates made.
        steps: Number of updates planned; None if unknown.
        seconds: Training time; None without metrics.
        curves: Each number of metrics.jsonl.
        grids: File of each sample grid by its step.
    """

    label: str
    path: Path
    state: str
    settings: Mapping[str, object]
    dataset: Mapping[str, object]
    step: int
    steps: int | None
    seconds: float | None
    curves: Mapping[str, Curve]
    grids: Mapping[int, Path]

    @property
    def images_seen(self) -> int | None:
        """Number of training images processed, with repetitions."""
        size = self.settings.get("training.batch_size")
        return self.step * size if isinstance(size, int) and self.step else None

    @property
    def classes(self) -> int:
        """Number of classes."""
        classes = self.dataset.get("classes")
        return len(classes) if isinstance(classes, dict) else 0

    @property
    def losses(self) -> dict[str, LossResult]:
        """Result of each loss, the training loss first; without those of bands of noise."""
        keys = [key for key in self.curves if is_loss(key) and not is_band(key)]
        keys.sort(key=lambda key: key != "loss")
        return {key: summarize_loss(key, self.curves[key]) for key in keys}

    @property
    def latest(self) -> dict[str, tuple[int, float]]:
        """Step and value of the last evaluation of each other number."""
        return {
            key: curve[-1]
            for key, curve in self.curves.items()
            if not is_loss(key) and key not in ABOUT_TRAINING
        }


@dataclass(frozen=True)
class GridChoice:
    """The sample grids that are shown side by side.

    Attributes:
        grids: Step and file of each run's grid; None for a run without grids.
        note: Which ones were chosen, as a sentence.
    """

    grids: tuple[tuple[int, Path] | None, ...]
    note: str


@dataclass(frozen=True)
class RunComparison:
    """Several runs beside each other.

    Attributes:
        runs: The runs, in the order in which they were given.
        settings: The settings that differ, by dotted key: the value of each run, None where a run
            has no such setting.
        grids: The sample grids to show.
        notes: What to know before the numbers are compared, as sentences.
    """

    runs: tuple[RunRecord, ...]
    settings: Mapping[str, tuple[object, ...]]
    grids: GridChoice
    notes: tuple[str, ...]

    def to_json(self) -> dict[str, object]:
        """Return the comparison as --json prints it."""
        return {
            "runs": [_record_to_json(record) for record in self.runs],
            "settings": {key: list(values) for key, values in self.settings.items()},
            "grids": {
                "files": [str(grid[1]) if grid else None for grid in self.grids.grids],
                "note": self.grids.note,
            },
            "notes": list(self.notes),
        }


def read_record(run: Run, label: str, profile: Profile) -> RunRecord:
    """Read what the files of a run record; damaged ones count as missing.

    Args:
        run: The run.
        label: What tells it from the other runs.
        profile: Its profile.
    """
    manifest = _read_json(run, "run.json")
    rows = run.read_metrics()
    curves = collect_curves(rows)
    logged = max((row["step"] for row in rows), default=0)
    return RunRecord(
        label=label,
        path=run.path,
        state=_read_state(run),
        settings=profile.flatten(),
        dataset=_read_json(run, "dataset.json"),
        step=int(max(logged, _read_count(manifest, "step") or 0)),
        steps=_read_count(manifest, "steps"),
        seconds=sum_seconds(rows),
        curves=curves,
        grids=_list_grids(run),
    )


def _read_json(run: Run, name: str) -> dict[str, object]:
    try:
        return run.read_json(name)
    except RunError:
        return {}


def _read_state(run: Run) -> str:
    try:
        return run.read_state()
    except RunError:
        return "damaged"


def _read_count(manifest: Mapping[str, object], key: str) -> int | None:
    value = manifest.get(key)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _list_grids(run: Run) -> dict[int, Path]:
    try:
        files = sorted(run.samples_dir.glob("step-*.png"))
    except OSError:
        return {}
    named = [(GRID_NAME.fullmatch(path.name), path) for path in files]
    return {int(match[1]): path for match, path in named if match}


def summarize_loss(key: str, curve: Curve) -> LossResult:
    """Return where a loss went.

    Args:
        key: Its name; single values of the training loss, "loss", are noise.
        curve: At least one point.
    """
    count = max(1, round(len(curve) * FINAL_SHARE)) if key == "loss" else 1
    last = sum(value for _, value in curve[-count:]) / count
    best_step, best = min(curve, key=lambda point: point[1])
    return LossResult(last, best, best_step)


def compare_records(records: Sequence[RunRecord]) -> RunComparison:
    """Compare runs whose files have been read."""
    settings = find_differing([record.settings for record in records])
    notes = tuple(_list_notes(records, settings))
    return RunComparison(tuple(records), settings, choose_grids(records), notes)


def find_differing(all_settings: Sequence[Mapping[str, object]]) -> dict[str, tuple[object, ...]]:
    """Return the settings that are not equal in all runs, in the order of the profile."""
    keys = dict.fromkeys(key for settings in all_settings for key in settings)
    values = {key: tuple(settings.get(key) for settings in all_settings) for key in keys}
    return {
        key: row
        for key, row in values.items()
        if any(value != row[0] for value in row)
        or len({key in settings for settings in all_settings}) > 1
    }


def choose_grids(records: Sequence[RunRecord]) -> GridChoice:
    """Choose the grids of the last step that all runs have; else the last one of each run."""
    having = [record for record in records if record.grids]
    if not having:
        return GridChoice(tuple(None for _ in records), "No run has a sample grid.")
    common = set.intersection(*(set(record.grids) for record in having))
    steps = [max(common or record.grids, default=None) for record in records]
    grids = tuple(
        None if step is None or step not in record.grids else (step, record.grids[step])
        for step, record in zip(steps, records, strict=True)
    )
    if common:
        who = "all runs" if len(having) == len(records) else "all runs with sample grids"
        note = f"The grids of step {max(common):,}, the last that {who} have."
    else:
        note = "The runs have no sample grid of the same step: the last one of each."
    return GridChoice(grids, f"{note} {_describe_noise(having)}")


def _describe_noise(records: Sequence[RunRecord]) -> str:
    shapes = {
        tuple(str(record.dataset.get(key)) for key in ("channels", "height", "width"))
        for record in records
    }
    if len(shapes) > 1:
        return "The images have different sizes, so they start from different noise."
    return "Images at the same place start from the same noise."


def _list_notes(
    records: Sequence[RunRecord], settings: Mapping[str, Sequence[object]]
) -> list[str]:
    """Return what to know before the numbers are compared."""
    notes = []
    if reasons := [key for key in LOSS_KEYS if key in settings]:
        notes.append(
            f"The losses measure different things, since these settings differ: "
            f"{', '.join(reasons)}. Compare images and evaluation numbers instead."
        )
    if _have_other_images(records, settings):
        notes.append("The runs were trained on different images.")
    lacking = [record.label for record in records if not record.curves]
    if lacking:
        notes.append(f"Without metrics: {', '.join(lacking)}.")
    return notes


def _have_other_images(records: Sequence[RunRecord], settings: Mapping[str, object]) -> bool:
    """Return whether runs were trained on different images, not merely prepared otherwise."""
    is_alike = not any(key in settings for key in PIXEL_KEYS)
    facts = ("digest",) if is_alike else ("count", "classes")
    known = [[record.dataset.get(key) for key in facts] for record in records]
    return len({repr(one) for one in known if None not in one}) > 1


def _record_to_json(record: RunRecord) -> dict[str, object]:
    return {
        "name": record.label,
        "path": str(record.path),
        "state": record.state,
        "step": record.step,
        "steps": record.steps,
        "images_seen": record.images_seen,
        "seconds": record.seconds,
        "images": record.dataset.get("count"),
        "classes": record.classes,
        "losses": {
            key: {"last": one.last, "best": one.best, "best_step": one.best_step}
            for key, one in record.losses.items()
        },
        "latest": {
            key: {"step": step, "value": value} for key, (step, value) in record.latest.items()
        },
    }
