"""Inspection: what is in a dataset, and what should be known before training on it."""

from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from pathlib import PurePosixPath

import numpy as np
from numpy import ndarray

from iddm_cli.data.decoding.workers import Lost, Workers
from iddm_cli.data.inspection import duplicates, histograms
from iddm_cli.data.inspection.advice import advise, judge
from iddm_cli.data.inspection.duplicates import Groups
from iddm_cli.data.inspection.image_stats import FACTS, GREY, glance
from iddm_cli.data.inspection.preprocessing_preview import learnt_channels, spread, treat
from iddm_cli.data.inspection.report_data import (
    Duplicates,
    Fault,
    Inspection,
    Sizes,
    TensorSpecs,
    Twins,
    Values,
)
from iddm_cli.data.progress import ProgressCallback, no_progress
from iddm_cli.data.sources.listing import Skip
from iddm_cli.data.sources.registry import Source
from iddm_cli.profiles.settings import DataSettings, TrainingSettings

CHUNK = 16
COMMON_SIZES = 5
EXAMPLES = 3
DEFAULTS = DataSettings()
BATCH_SIZE = TrainingSettings().batch_size


@dataclass(frozen=True)
class Survey:
    """What was seen when every picture was decoded, a row for each that can be read.

    Attributes:
        source: The dataset.
        settings: How its pictures would be learnt.
        items: Which pictures of the source the rows are about, [N].
        labels: Class of each, [N].
        facts: FACTS of each, [N].
        unreadable: The others: names and reasons.
        equal: Rows of equal pixels.
        alike: Rows that nearly look the same; of equal ones only the first.
    """

    source: Source
    settings: DataSettings
    items: ndarray
    labels: ndarray
    facts: ndarray
    unreadable: list[Skip]
    equal: Groups
    alike: duplicates.Alike

    def names(self, rows: Iterable[int]) -> list[str]:
        """Name pictures."""
        return [self.source.item_name(int(self.items[row])) for row in rows]

    def classes(self, rows: Sequence[int]) -> list[str]:
        """Name the classes that pictures lie in, each once."""
        names = self.source.classes
        return [names[label] for label in np.unique(self.labels[rows])] if names else []

    def worst_first(self, groups: Groups) -> Groups:
        """Sort groups: those across classes come first."""
        return sorted(groups, key=lambda group: len(self.classes(group)) < 2)


def inspect(
    source: Source,
    settings: DataSettings = DEFAULTS,
    *,
    profile: str = "",
    batch_size: int = BATCH_SIZE,
    progress: ProgressCallback = no_progress,
) -> Inspection:
    """Decode every picture of a dataset and sum up what was found; see `survey`, `sum_up`."""
    seen = survey(source, settings, progress=progress)
    return sum_up(seen, profile=profile, batch_size=batch_size)


def survey(
    source: Source, settings: DataSettings, *, progress: ProgressCallback = no_progress
) -> Survey:
    """Decode every picture of a dataset once, in parallel, and compare them."""
    facts, reasons = _look_at_all(source, settings, progress)
    items = np.array([i for i in range(len(source)) if i not in reasons], np.int64)
    facts = facts[items]
    equal, alike = _compare(facts, progress)
    return Survey(
        source=source,
        settings=settings,
        items=items,
        labels=np.asarray(source.labels, np.int64)[items],
        facts=facts,
        unreadable=[(source.item_name(i), reason) for i, reason in reasons.items()],
        equal=equal,
        alike=alike,
    )


def _look_at_all(
    source: Source, settings: DataSettings, progress: ProgressCallback
) -> tuple[ndarray, dict[int, str]]:
    """Return FACTS of each picture, and why some have none."""
    facts = np.zeros(len(source), FACTS)
    reasons: dict[int, str] = {}
    done = 0
    pictures = (source.picture(i) for i in range(len(source)))
    with Workers(settings.workers, seconds=settings.timeout) as workers:
        results = workers.in_order(partial(glance, settings), pictures, chunk=CHUNK)
        with closing(results):
            for some in results:
                for i, seen in enumerate(some, start=done):
                    if isinstance(seen, Lost | str):
                        reasons[i] = seen.reason if isinstance(seen, Lost) else seen
                    else:
                        facts[i] = tuple(seen)
                done += len(some)
                progress("reading pictures", done, len(source))
    return facts, reasons


def _compare(facts: ndarray, progress: ProgressCallback) -> tuple[Groups, duplicates.Alike]:
    """Group what is equal, and, of each such group only the first, what is alike."""
    progress("comparing pictures", 0, len(facts))
    equal = duplicates.equal(facts["digest"])
    again = {row for group in equal for row in group[1:]}
    rows = np.array([row for row in range(len(facts)) if row not in again], np.int64)
    found = duplicates.alike(facts["hash"][rows], facts["thumb"][rows])
    groups = [rows[group].tolist() for group in found.groups]
    progress("comparing pictures", len(facts), len(facts))
    return equal, replace(found, groups=groups)


def sum_up(seen: Survey, *, profile: str = "", batch_size: int = BATCH_SIZE) -> Inspection:
    """Sum up a survey, and say what follows from it."""
    source, facts = seen.source, seen.facts
    counts = np.bincount(seen.labels, minlength=len(source.classes)).tolist()
    classes = dict(zip(source.classes, counts, strict=False))
    there = [count for count in classes.values() if count]
    found = Inspection(
        name=source.name,
        place=source.place,
        trainable=bool(len(facts)),
        verdict="",
        count=len(facts),
        total_bytes=source.stored_bytes(),
        classes=classes,
        shares={name: round(n / max(1, len(facts)), 4) for name, n in classes.items()},
        imbalance=round(max(there) / min(there), 2) if there else 1.0,
        notes=list(source.notes),
        sizes=_sizes(facts),
        kinds=_kinds(seen),
        values=_values(seen),
        constant=seen.names(np.flatnonzero(facts["constant"])),
        unreadable=seen.unreadable,
        skipped=list(source.skipped),
        faults=_faults([*seen.unreadable, *source.skipped]),
        duplicates=_duplicates(seen, seen.equal, complete=True),
        near_duplicates=_duplicates(seen, seen.alike.groups, complete=not seen.alike.capped),
        treatment=treat(facts, seen.settings, profile=profile, batch_size=batch_size),
        advice=[],
    )
    trainable, verdict = judge(found, seen.settings)
    return replace(found, trainable=trainable, verdict=verdict, advice=advise(found, seen.settings))


def _sizes(facts: ndarray) -> Sizes:
    width, height = facts["width"].astype(np.int64), facts["height"].astype(np.int64)
    shorter = np.minimum(width, height)
    common = Counter(zip(width.tolist(), height.tolist(), strict=True)).most_common(COMMON_SIZES)
    return Sizes(
        width=spread(width),
        height=spread(height),
        shorter_side=spread(shorter),
        common=[(*size, count) for size, count in common],
        not_square=int((width != height).sum()),
        shorter_sides=histograms.of_sizes(shorter),
        aspects=histograms.of_aspects(width / np.maximum(1, height)),
    )


def _kinds(seen: Survey) -> TensorSpecs:
    facts = seen.facts
    stored_grey = np.isin(facts["mode"], ["1", "L", "LA", "La", "F", "I"]) | facts["deep"]
    endings = (PurePosixPath(name).suffix.lower() for name in seen.names(range(len(facts))))
    return TensorSpecs(
        modes=_counts(facts["mode"].tolist()),
        formats=_counts(name or "none" for name in facts["format"].tolist()),
        suffixes=_counts(ending or "none" for ending in endings),
        grey=int(facts["grey"].sum()),
        grey_stored_as_colour=int((facts["grey"] & ~stored_grey).sum()),
        transparent=int(facts["transparent"].sum()),
        animated=int(facts["animated"].sum()),
        sixteen_bit=int(facts["deep"].sum()),
    )


def _counts(words: Iterable[str]) -> dict[str, int]:
    return dict(Counter(words).most_common())


def _values(seen: Survey) -> Values:
    """Average over all pixels of all pictures, which are of one size when they are learnt."""
    grey = learnt_channels(seen.facts, seen.settings) == 1
    planes = slice(GREY, GREY + 1) if grey else slice(0, GREY)
    count = max(1, len(seen.facts))
    mean = seen.facts["mean"][:, planes].sum(axis=0) / count
    square = seen.facts["square"][:, planes].sum(axis=0) / count
    deviation = np.sqrt(np.maximum(0, square - mean**2))
    return Values(
        channels=["grey"] if grey else ["red", "green", "blue"],
        mean=mean.round(3).tolist(),
        deviation=deviation.round(3).tolist(),
    )


def _faults(skipped: list[Skip]) -> list[Fault]:
    """Group what is left out by its reason, of which the details are left out."""
    groups: dict[str, list[str]] = {}
    for name, reason in skipped:
        groups.setdefault(reason.split(":", 1)[0].split(";", 1)[0], []).append(name)
    ordered = sorted(groups.items(), key=lambda item: -len(item[1]))
    return [Fault(reason, len(names), names[:EXAMPLES]) for reason, names in ordered]


def _duplicates(seen: Survey, groups: Groups, *, complete: bool) -> Duplicates:
    """Name the groups, those across classes first."""
    ordered = seen.worst_first(groups)
    twins = [Twins(seen.names(group), seen.classes(group)) for group in ordered]
    return Duplicates(
        count=sum(len(group) - 1 for group in groups),
        across_classes=sum(len(group.classes) > 1 for group in twins),
        groups=twins,
        complete=complete,
    )
