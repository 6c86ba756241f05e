"""Classes of a new run and of the trained model that it starts from, matched by name."""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from iddm_cli.classes import MAX_LISTED
from iddm_cli.errors import UsageError, did_you_mean


@dataclass(frozen=True)
class ClassPlan:
    """What becomes of each class.

    Attributes:
        rows: For each class of the new run, its label in the trained model; None: it is new.
        kept: Names of the classes that both have.
        new: Names of those that only the new run has.
        removed: Names of those that only the trained model has.
        renamed: Former and present names of classes that were renamed.
    """

    rows: tuple[int | None, ...]
    kept: tuple[str, ...]
    new: tuple[str, ...]
    removed: tuple[str, ...]
    renamed: tuple[tuple[str, str], ...] = ()


def parse_renames(texts: Sequence[str] | None) -> list[list[str]] | None:
    """Parse the arguments of --rename; return pairs of an old and a new name, None without any.

    Raises:
        UsageError: One is not OLD=NEW.
    """
    pairs = []
    for text in texts or ():
        old, _, new = text.partition("=")
        if not old or not new:
            raise UsageError(f"--rename {text} is not OLD=NEW", "Write --rename scratch=scratches.")
        pairs.append([old, new])
    return pairs or None


def plan_classes(
    before: Sequence[str], now: Sequence[str], renames: Sequence[Sequence[str]] = ()
) -> ClassPlan:
    """Match the classes of a new run with those of a trained model, by name.

    Args:
        before: Classes of the trained model, by label.
        now: Classes of the new run, by label.
        renames: Pairs of an old and a new name.

    Raises:
        UsageError: A name to change does not exist, or is not free.
    """
    wanted = [(_normalize(old), _normalize(new)) for old, new in renames]
    old_names, names = [_normalize(name) for name in before], [_normalize(name) for name in now]
    for old, new in wanted:
        _check_rename(old, new, old_names, names)
    targets = [dict(wanted).get(name, name) for name in old_names]
    if twice := sorted({name for name in targets if targets.count(name) > 1}):
        raise UsageError(
            f"--rename: two classes of the trained model would be {twice[0]}",
            "Give each its own name; images of both in one folder are one class.",
        )
    rows = tuple(targets.index(name) if name in targets else None for name in names)
    return ClassPlan(
        rows,
        kept=tuple(name for name, row in zip(now, rows, strict=True) if row is not None),
        new=tuple(name for name, row in zip(now, rows, strict=True) if row is None),
        removed=tuple(before[i] for i, name in enumerate(targets) if name not in names),
        renamed=tuple(wanted),
    )


def order_classes(
    before: Sequence[str], now: Sequence[str], renames: Sequence[Sequence[str]] = ()
) -> tuple[str, ...]:
    """Return the classes of a new run in the order of their labels: those it keeps come first.

    Where none is removed, each keeps its label, and so the noise that its images start from.

    Args:
        before: Classes of the trained model, by label.
        now: Classes of the dataset.
        renames: Pairs of an old and a new name.

    Raises:
        UsageError: A name to change does not exist, or is not free.
    """
    rows = plan_classes(before, now, renames).rows
    places = [len(before) if row is None else row for row in rows]
    pairs = sorted(zip(places, now, strict=True), key=lambda pair: pair[0])
    return tuple(name for _, name in pairs)


def _normalize(name: str) -> str:
    """Return a name in the Unicode form in which datasets have it."""
    return unicodedata.normalize("NFC", name)


def _check_rename(old: str, new: str, before: Sequence[str], now: Sequence[str]) -> None:
    """Check that a class to rename exists, and that the new name is one of the dataset.

    Raises:
        UsageError: It is not so.
    """
    for name, known, whose in ((old, before, "the trained model"), (new, now, "the dataset")):
        if name not in known:
            listed = ", ".join(known[:MAX_LISTED]) + (", ..." if len(known) > MAX_LISTED else "")
            there = f"There are: {listed}." if known else "It has no classes."
            raise UsageError(
                f"--rename {old}={new}: {whose} has no class {name}",
                f"{did_you_mean(name, known)} {there}".strip(),
            )
