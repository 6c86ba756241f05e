"""Advice: what to know, and to do, before training on a dataset; and whether it can be done."""

from collections.abc import Callable, Iterator, Sequence

from iddm_cli.data.inspection.report_data import Advice, Inspection, Twins
from iddm_cli.profiles.settings import DataSettings

FEW = 50
"""Pictures of a class below which they are memorised rather than learnt."""

IMBALANCE = 10
NOTABLE_ENLARGEMENT = 1.25
LEAST_KEPT, LEAST_KEPT_OF_ONE = 0.75, 0.5
MOST_PADDING = 0.3
MOST_DISTORTION = 1.3
ROOM = 2
"""Times the size learnt that pictures must have before a larger one is offered."""

MOST_SIZE = 256
NAMED = 3

Sentences = Iterator[Advice]


def judge(found: Inspection, settings: DataSettings) -> tuple[bool, str]:
    """Say whether training would start, and why, in one sentence."""
    bad = len(found.unreadable)
    if not found.count:
        return False, f"None of {many(bad, 'picture')} can be read."
    if bad and settings.on_error == "fail":
        return False, f"data.on_error is fail, and {many(bad, 'picture')} cannot be read."
    if settings.conditional is True and not found.classes:
        return False, "data.conditional is true, and there are no classes."
    if not _learns_classes(found, settings):
        return True, f"{many(found.count, 'picture')} can be learnt from, without classes."
    learnt = sum(count > 0 for count in found.classes.values())
    return True, f"{many(found.count, 'picture')} of {many(learnt, 'class')} can be learnt from."


def _learns_classes(found: Inspection, settings: DataSettings) -> bool:
    return bool(found.classes) and settings.conditional is not False


def advise(found: Inspection, settings: DataSettings) -> list[Advice]:
    """Say in plain sentences what matters before training on this, warnings first."""
    parts: Sequence[Callable[[Inspection, DataSettings], Sentences]] = (
        _on_faults,
        *([_on_duplicates, _on_classes, _on_size, _on_shape, _on_colour] if found.count else []),
    )
    lines = [line for part in parts for line in part(found, settings)]
    return sorted(lines, key=lambda line: line.level != "warning")


def warning(text: str) -> Advice:
    """Tell of what makes a training worse."""
    return Advice("warning", text)


def hint(text: str) -> Advice:
    """Tell of what is good to know."""
    return Advice("hint", text)


def many(count: int, noun: str) -> str:
    """Write a count with its noun: 1 picture, 2 pictures, 3 classes."""
    plural = f"{noun}es" if noun.endswith("s") else f"{noun}s"
    return f"{count:,} {noun if count == 1 else plural}"


def named(names: Sequence[str]) -> str:
    """Name a few of many: `a`, `b` and 7 more."""
    shown = ", ".join(f"`{name}`" for name in names[:NAMED])
    return f"{shown} and {len(names) - NAMED:,} more" if len(names) > NAMED else shown


def _on_faults(found: Inspection, _: DataSettings) -> Sentences:
    if found.unreadable:
        names = named([name for name, _ in found.unreadable])
        cannot = f"{many(len(found.unreadable), 'picture')} cannot be read ({names})"
        yield warning(f"{cannot}: repair or remove them; training leaves them out.")
    if found.constant:
        flat = f"{many(len(found.constant), 'picture')} of one colour ({named(found.constant)})"
        yield warning(f"{flat}: look whether they are faults; there is nothing to learn in them.")


def _on_duplicates(found: Inspection, settings: DataSettings) -> Sentences:
    same, near = found.duplicates, found.near_duplicates
    contradictory = same.across_classes if _learns_classes(found, settings) else 0
    if contradictory:
        which = f"{many(contradictory, 'group')} of equal pictures in more than one class"
        yield warning(
            f"{which} ({_example(same.groups[0])}): such labels contradict each other; keep each "
            "picture in the class that is right."
        )
    if others := len(same.groups) - contradictory:
        which = f"{many(others, 'group')} of equal pictures ({_example(same.groups[-1])})"
        yield warning(f"{which}: keep one of each, or what they show is learnt more often.")
    if near.groups:
        groups = f"{many(len(near.groups), 'group')} of near duplicates ({_example(near.groups[0])}"
        where = f"; {near.across_classes:,} across classes" if near.across_classes else ""
        yield hint(f"{groups}{where}): look at them; copies of one picture are better removed.")
    if not near.complete:
        yield hint(
            "So many pictures resemble each other that not all pairs were compared: there may be "
            "more near duplicates than are told."
        )


def _example(twins: Twins) -> str:
    pictures = [f"`{name}`" for name in twins.pictures]
    others = f" and {len(pictures) - 2:,} more" if len(pictures) > 2 else ""
    return f"such as {pictures[0]} and {pictures[1]}{others}"


def _on_classes(found: Inspection, settings: DataSettings) -> Sentences:
    if not found.classes:
        yield hint(
            "There are no classes: pictures will be drawn without choosing a kind. Put each kind "
            "into a folder of its own if that is wanted."
        )
    if not _learns_classes(found, settings):
        yield from _on_few({"the whole set": found.count})
        return
    if empty := [name for name, count in found.classes.items() if not count]:
        yield warning(f"No picture of {named(empty)} can be read: they will be no classes.")
    filled = {name: count for name, count in found.classes.items() if count}
    yield from _on_few(filled)
    if found.imbalance >= IMBALANCE:
        least, most = (pick(filled, key=filled.__getitem__) for pick in (min, max))
        yield warning(
            f"`{most}` has {filled[most]:,} pictures and `{least}` {filled[least]:,}: the rare "
            "class is learnt less well; add pictures to it, or even the numbers out."
        )


def _on_few(classes: dict[str, int]) -> Sentences:
    few = sorted((count, name) for name, count in classes.items() if count < FEW)
    if not few:
        return
    fate = "so few are memorised rather than learnt; add pictures"
    if "the whole set" in classes:
        yield warning(f"There are {many(few[0][0], 'picture')} in all: {fate}.")
    elif len(few) == 1:
        yield warning(f"Class `{few[0][1]}` has {many(few[0][0], 'picture')}: {fate}.")
    else:
        shown = ", ".join(f"`{name}` {count}" for count, name in few[:NAMED])
        more = ", ..." if len(few) > NAMED else ""
        yield warning(
            f"{len(few):,} classes have fewer than {FEW} pictures ({shown}{more}): {fate}."
        )


def _on_size(found: Inspection, settings: DataSettings) -> Sentences:
    treatment, median = found.treatment, found.sizes.shorter_side.median
    fitting = fitting_size(median)
    shorter = min(settings.size)
    if treatment.enlarged and treatment.enlarged_by >= NOTABLE_ENLARGEMENT:
        offer = f"data.image_size {fitting} fits" if fitting < shorter else "leave them out"
        yield warning(
            f"{many(treatment.enlarged, 'picture')} would be enlarged, {treatment.enlarged_by:.2g} "
            f"times in the middle, and are learnt blurred: {offer}."
        )
    elif fitting >= ROOM * shorter:
        yield hint(
            f"Half of the pictures have {median:,} pixels or more on their shorter side, and "
            f"{shorter} are learnt: data.image_size {ROOM * shorter} would show more, at about "
            f"{ROOM**2} times the cost."
        )
    if treatment.steps_per_epoch < 1:
        yield hint(
            f"A batch of {treatment.batch_size} is more than all {many(found.count, 'picture')}: "
            "each step shows some of them twice; training.batch_size can be smaller."
        )


def fitting_size(median: int) -> int:
    """Return the multiple of 8, which every network of ours can halve, nearest to a size."""
    return min(MOST_SIZE, max(8, 8 * round(median / 8)))


def _on_shape(found: Inspection, settings: DataSettings) -> Sentences:
    treatment = found.treatment
    if treatment.kept < LEAST_KEPT or treatment.kept_least < LEAST_KEPT_OF_ONE:
        yield warning(
            f"Cropping to {treatment.width} x {treatment.height} keeps {treatment.kept:.0%} of the "
            f"pictures' area, of one only {treatment.kept_least:.0%}: data.aspect pad shows all."
        )
    if treatment.padding > MOST_PADDING:
        yield warning(
            f"{treatment.padding:.0%} of what is learnt would be padding: data.aspect crop, or a "
            "data.image_size of the pictures' shape, uses the room better."
        )
    if treatment.distortion > MOST_DISTORTION:
        yield warning(
            f"Squashing stretches one side {treatment.distortion:.2g} times more than the other: "
            "data.aspect crop or pad keeps shapes as they are."
        )
    if found.kinds.animated:
        frames = f"{many(found.kinds.animated, 'file')} of several frames or pages"
        yield hint(f"{frames}: only the first is learnt; take the others out if they matter.")
    if found.kinds.transparent:
        clear = f"{many(found.kinds.transparent, 'picture')} with transparency"
        yield hint(f"{clear}: {settings.background} stands behind; see data.background.")


def _on_colour(found: Inspection, _: DataSettings) -> Sentences:
    kinds, channels = found.kinds, found.treatment.channels
    colour = found.count - kinds.grey
    if not colour:
        stored = ", though stored as colour" if kinds.grey_stored_as_colour == found.count else ""
        fitting = "data.channels auto chooses 1" if channels == 1 else "set data.channels to auto"
        yield (hint if channels == 1 else warning)(f"Every picture is grey{stored}: {fitting}.")
    elif channels == 1:
        yield warning(f"data.channels is 1: the colours of {many(colour, 'picture')} are dropped.")
    elif kinds.grey:
        some = f"{many(kinds.grey, 'picture')} of {found.count:,} are grey, the others in colour"
        yield hint(f"{some}: what is drawn will be both; take out the grey ones if that is wrong.")
    if kinds.sixteen_bit:
        deep = many(kinds.sixteen_bit, "picture")
        yield hint(f"{deep} of 16 bits: 8 of them are learnt; stretch the range if it is narrow.")
