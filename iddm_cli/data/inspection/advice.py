"""Advice before training on a dataset: the verdict, warnings and hints in plain sentences."""

from collections.abc import Callable, Iterator, Sequence

from iddm_cli.data.decoding.formats.left_out import drop_left_out
from iddm_cli.data.inspection.report_data import Advice, DuplicateGroup, Inspection
from iddm_cli.data.packs.held_out import MIN_CLASS, SHARE, list_small_classes
from iddm_cli.profiles.settings import DataSettings

FEW_IMAGES = 50
"""A network memorizes a class of fewer images instead of generalizing from it."""

HIGH_IMBALANCE = 10
"""Ratio of the largest to the smallest class from which it is reported."""

HIGH_ENLARGEMENT = 1.25
LOW_MEAN_KEPT, LOW_LEAST_KEPT = 0.75, 0.5
HIGH_PADDING = 0.3
HIGH_DISTORTION = 1.3
SIZE_HEADROOM = 2
"""The median image must be this many times the training size before a larger one is suggested."""

MAX_SUGGESTED_SIZE = 256
MAX_NAMES = 3

WHOLE_SET = "the whole set"
"""Stands for the class of all images where no classes are trained."""


def verdict(inspection: Inspection, settings: DataSettings) -> tuple[bool, str]:
    """Return whether training would start, and the reason in one sentence."""
    unreadable = len(inspection.unreadable)
    if not inspection.count:
        left_out = f": {'; '.join(inspection.left_out)}" if inspection.left_out else ""
        return False, f"None of {pluralize(unreadable, 'image')} can be read{left_out}."
    if unreadable and settings.on_error == "fail":
        return False, f"data.on_error is fail, and {pluralize(unreadable, 'image')} cannot be read."
    if inspection.problem:
        return False, inspection.problem[:1].upper() + inspection.problem[1:]
    if settings.conditional is True and not inspection.classes:
        return False, "data.conditional is true, and there are no classes."
    images = pluralize(inspection.count, "image")
    if not _is_conditional(inspection, settings):
        return True, f"{images}, without classes, can be used for training."
    classes = sum(count > 0 for count in inspection.classes.values())
    return True, f"{images} of {pluralize(classes, 'class')} can be used for training."


def _is_conditional(inspection: Inspection, settings: DataSettings) -> bool:
    return bool(inspection.classes) and settings.conditional is not False


def advise(inspection: Inspection, settings: DataSettings) -> list[Advice]:
    """Return what to know and to change before training, warnings first."""
    checks: Sequence[Callable[[Inspection, DataSettings], Iterator[Advice]]] = (
        _check_files,
        *(
            [
                _check_duplicates,
                _check_classes,
                _check_held_out,
                _check_size,
                _check_shape,
                _check_colour,
                _check_values,
            ]
            if inspection.count
            else []
        ),
    )
    lines = [line for check in checks for line in check(inspection, settings)]
    return sorted(lines, key=lambda line: line.level != "warning")


def _warn(text: str) -> Advice:
    """Return advice about what makes training worse."""
    return Advice("warning", text)


def _hint(text: str) -> Advice:
    """Return advice that is good to know."""
    return Advice("hint", text)


def pluralize(count: int, noun: str) -> str:
    """Return a count with its noun: 1 image, 2 images, 3 classes."""
    plural = f"{noun}es" if noun.endswith("s") else f"{noun}s"
    return f"{count:,} {noun if count == 1 else plural}"


def list_names(names: Sequence[str]) -> str:
    """Return the first names, and how many more there are: `a`, `b` and 7 more."""
    shown = ", ".join(f"`{name}`" for name in names[:MAX_NAMES])
    return f"{shown} and {len(names) - MAX_NAMES:,} more" if len(names) > MAX_NAMES else shown


def _check_files(inspection: Inspection, _: DataSettings) -> Iterator[Advice]:
    yield from map(_warn, (f"{sentence}." for sentence in inspection.left_out))
    if unreadable := drop_left_out(inspection.unreadable):
        names = list_names([name for name, _ in unreadable])
        images = pluralize(len(unreadable), "image")
        yield _warn(
            f"{images} cannot be read ({names}): repair or remove them; training skips them."
        )
    if inspection.constant:
        images = pluralize(len(inspection.constant), "image")
        yield _warn(
            f"{images} of one colour ({list_names(inspection.constant)}): check whether they are "
            "broken; a model learns nothing from them."
        )


def _check_duplicates(inspection: Inspection, settings: DataSettings) -> Iterator[Advice]:
    equal, near = inspection.duplicates, inspection.near_duplicates
    contradictory = equal.across_classes if _is_conditional(inspection, settings) else 0
    if contradictory:
        groups = f"{pluralize(contradictory, 'group')} of equal images in more than one class"
        yield _warn(
            f"{groups} ({_example(equal.groups[0])}): their labels contradict each other; keep "
            "each image in the correct class only."
        )
    if others := len(equal.groups) - contradictory:
        groups = f"{pluralize(others, 'group')} of equal images ({_example(equal.groups[-1])})"
        yield _warn(f"{groups}: keep one of each; a repeated image counts more often in training.")
    if near.groups:
        groups = f"{pluralize(len(near.groups), 'group')} of near duplicates"
        across = f"; {near.across_classes:,} across classes" if near.across_classes else ""
        yield _hint(
            f"{groups} ({_example(near.groups[0])}{across}): look at them, and remove copies of "
            "the same image."
        )
    if not near.complete:
        yield _hint(
            "So many images resemble each other that not all pairs were compared: there may be "
            "more near duplicates than are listed."
        )


def _example(group: DuplicateGroup) -> str:
    names = [f"`{name}`" for name in group.pictures]
    others = f" and {len(names) - 2:,} more" if len(names) > 2 else ""
    return f"such as {names[0]} and {names[1]}{others}"


def _check_classes(inspection: Inspection, settings: DataSettings) -> Iterator[Advice]:
    if not inspection.classes:
        yield _hint(
            "There are no classes: generated images cannot be chosen by class. Put the images of "
            "each class into its own folder for class-conditional training."
        )
    if not _is_conditional(inspection, settings):
        yield from _check_counts({WHOLE_SET: inspection.count})
        return
    if empty := [name for name, count in inspection.classes.items() if not count]:
        classes = "this class" if len(empty) == 1 else "these classes"
        yield _warn(f"No image of {list_names(empty)} can be read: training omits {classes}.")
    filled = {name: count for name, count in inspection.classes.items() if count}
    yield from _check_counts(filled)
    if inspection.imbalance >= HIGH_IMBALANCE:
        least, most = (pick(filled, key=filled.__getitem__) for pick in (min, max))
        yield _warn(
            f"`{most}` has {filled[most]:,} images and `{least}` {filled[least]:,}: quality will "
            "be lower for the rare class; add images to it, or set data.balance: 0.5 to train on "
            "it more often."
        )


def _check_counts(classes: dict[str, int]) -> Iterator[Advice]:
    few = sorted((count, name) for name, count in classes.items() if count < FEW_IMAGES)
    if not few:
        return
    effect = "a network memorizes so few instead of generalizing; add images"
    if WHOLE_SET in classes:
        yield _warn(f"There are {pluralize(few[0][0], 'image')} in all: {effect}.")
    elif len(few) == 1:
        yield _warn(f"Class `{few[0][1]}` has {pluralize(few[0][0], 'image')}: {effect}.")
    else:
        shown = ", ".join(f"`{name}` {count}" for count, name in few[:MAX_NAMES])
        more = ", ..." if len(few) > MAX_NAMES else ""
        yield _warn(
            f"{len(few):,} classes have fewer than {FEW_IMAGES} images ({shown}{more}): {effect}."
        )


def _check_held_out(inspection: Inspection, settings: DataSettings) -> Iterator[Advice]:
    report = inspection.held_out
    if report.facts.repeated:
        images = pluralize(report.facts.repeated, "image")
        yield _warn(
            f"{images} of {report.facts.origin} equal training images: results on it look better "
            "than they are; remove them from one of the two."
        )
    if report.facts.origin != SHARE:
        return
    is_conditional = _is_conditional(inspection, settings)
    counts = inspection.classes if is_conditional else {WHOLE_SET: inspection.count}
    small = [[*counts][label] for label in list_small_classes([*counts.values()])]
    if small and not is_conditional:
        yield _hint(f"No image is held out to measure quality: that takes {MIN_CLASS} images.")
    elif small:
        yield _hint(
            f"No image of {list_names(small)} is held out to measure quality: that takes "
            f"{MIN_CLASS} images of a class."
        )


def _check_size(inspection: Inspection, settings: DataSettings) -> Iterator[Advice]:
    preview, median = inspection.treatment, inspection.sizes.shorter_side.median
    suggested, shorter = suggest_image_size(median), min(settings.size)
    if preview.enlarged and preview.enlarged_by >= HIGH_ENLARGEMENT:
        fix = f"data.image_size {suggested} fits" if suggested < shorter else "remove them"
        yield _warn(
            f"{pluralize(preview.enlarged, 'image')} would be enlarged, {preview.enlarged_by:.2g} "
            f"times at the median, and look blurred in training: {fix}."
        )
    elif suggested >= SIZE_HEADROOM * shorter and settings.crop is None:
        yield _hint(
            f"The median of the images' shorter sides is {median:,} pixels, and training uses "
            f"{shorter}: data.image_size {SIZE_HEADROOM * shorter} would show more detail, at "
            f"about {SIZE_HEADROOM**2} times the cost."
        )
    if preview.steps_per_epoch < 1:
        yield _hint(
            f"A batch of {preview.batch_size} is more than all "
            f"{pluralize(inspection.count, 'image')}: each step uses some of them twice; reduce "
            "training.batch_size."
        )


def suggest_image_size(median: int) -> int:
    """Return the multiple of 8 nearest to a size; every network here can halve it 3 times."""
    return min(MAX_SUGGESTED_SIZE, max(8, 8 * round(median / 8)))


def _check_shape(inspection: Inspection, settings: DataSettings) -> Iterator[Advice]:
    preview = inspection.treatment
    if preview.kept < LOW_MEAN_KEPT or preview.kept_least < LOW_LEAST_KEPT:
        yield _warn(
            f"Cropping to {preview.width} x {preview.height} keeps {preview.kept:.0%} of the "
            f"images' area on average, {preview.kept_least:.0%} at worst: data.aspect pad keeps "
            "all of it."
        )
    if preview.padding > HIGH_PADDING:
        yield _warn(
            f"{preview.padding:.0%} of the training pixels would be padding: use data.aspect crop, "
            "or a data.image_size of the images' shape."
        )
    if preview.distortion > HIGH_DISTORTION:
        yield _warn(
            f"Squashing stretches one side {preview.distortion:.2g} times more than the other: "
            "data.aspect crop or pad keeps the proportions."
        )
    if inspection.kinds.animated:
        files = pluralize(inspection.kinds.animated, "file")
        yield _hint(
            f"{files} of several frames or pages: training uses only the first; extract the others "
            "if they matter."
        )
    if inspection.kinds.transparent:
        images = pluralize(inspection.kinds.transparent, "image")
        yield _hint(
            f"{images} with transparency: transparent pixels become {settings.background}; see "
            "data.background."
        )


def _check_colour(inspection: Inspection, _: DataSettings) -> Iterator[Advice]:
    kinds, channels = inspection.kinds, inspection.treatment.channels
    if channels not in (1, 3):
        return
    colour = inspection.count - kinds.grey
    if not colour:
        all_as_colour = kinds.grey_stored_as_colour == inspection.count
        stored = ", though stored as colour" if all_as_colour else ""
        level, action = (
            (_hint, "data.channels auto chooses 1")
            if channels == 1
            else (_warn, "set data.channels to auto")
        )
        yield level(f"Every image is grey{stored}: {action}.")
    elif channels == 1:
        yield _warn(f"data.channels is 1: the colours of {pluralize(colour, 'image')} are dropped.")
    elif kinds.grey:
        yield _hint(
            f"{pluralize(kinds.grey, 'image')} of {inspection.count:,} are grey, the others in "
            "colour: generated images will be both; remove the grey ones to get only colour."
        )


def _check_values(inspection: Inspection, settings: DataSettings) -> Iterator[Advice]:
    report = inspection.value_range
    if report is None:
        return
    if (report.dtype, report.low, report.high) != ("uint8", [0.0], [255.0]):
        origin = "found in the images" if settings.value_range == "auto" else "as set"
        yield _hint(
            f"Values from {report.range} become black to white ({origin}): `data.value_range` "
            "changes that, and `iddm generate` gives values in these units again."
        )
    for note in report.notes:
        yield _warn(f"{note[:1].upper()}{note[1:]}.")
