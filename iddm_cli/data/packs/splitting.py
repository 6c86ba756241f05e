"""Splitting a pack into training images and held-out ones.

The held-out images are a part of their own where the dataset has one, such as val or test, and else
a share of all images.
"""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from iddm_cli.data.packs import store
from iddm_cli.data.packs.held_out import (
    NO_CLASSES,
    NO_IMAGES,
    OTHER_CLASSES,
    SHARE,
    HeldOutFacts,
    choose_held_out,
    describe_small_classes,
    find_equal,
    match_labels,
)
from iddm_cli.data.packs.pack import NoImageError, Pack, StoredPack, digest_pack
from iddm_cli.data.sources.source import HeldOutPart, Source

FindPart = Callable[[Source], StoredPack]
"""Finds or builds the stored pack of the dataset's own part, with the pixels of the other one."""


def hold_out(pack: Pack, source: Source, share: float, find_part: FindPart) -> Pack:
    """Return the pack of the training images alone, with the held-out ones beside them.

    Args:
        pack: All images of the training part.
        source: The dataset.
        share: The setting data.held_out; 0 trains on all images of the training part.
        find_part: Finds or builds the pack of the dataset's own part.

    Raises:
        DatasetError: The pack of the part cannot be built, or lacks an image and data.on_error is
            fail.
    """
    if share == 0:
        return pack
    part = source.held_out
    if part is None:
        return split_by_share(pack, share)
    taken = _take_part(pack, part, find_part)
    if isinstance(taken, Pack):
        return taken
    note = f"{part.name} is not used: {taken}"
    split = split_by_share(pack, share)
    facts = replace(split.held_out_facts, notes=(note, *split.held_out_facts.notes))
    return replace(split, held_out_facts=facts)


def split_by_share(pack: Pack, share: float) -> Pack:
    """Return the pack without a share of its images, which are held out."""
    held_out = choose_held_out(store.read_digests(pack.folder), pack.labels, share)
    facts = HeldOutFacts(SHARE, notes=describe_small_classes(pack.class_counts(), pack.count))
    if not held_out.any():
        return replace(pack, held_out_facts=facts)
    others = pack.select(np.flatnonzero(held_out))
    return replace(pack.select(np.flatnonzero(~held_out)), held_out=others, held_out_facts=facts)


def _take_part(pack: Pack, part: HeldOutPart, find_part: FindPart) -> Pack | str:
    """Return the pack with the images of a part as the held-out ones, or why that is impossible."""
    if pack.classes and not part.source.classes:
        return NO_CLASSES
    try:
        folder, spec, record = find_part(part.source)
    except NoImageError:
        return NO_IMAGES
    labels = match_labels(store.read_labels(folder), record.classes, pack.classes)
    rows = np.flatnonzero(labels >= 0)
    if not rows.size:
        return OTHER_CLASSES
    digests = store.read_digests(folder)
    equal = find_equal(digests.pixels[rows], store.read_digests(pack.folder).pixels)
    held_out = Pack(
        folder=folder,
        spec=spec,
        record=record,
        labels=labels[rows],
        classes=pack.classes,
        digest=digest_pack(digests.digest_pixels(rows), labels[rows], pack.classes),
        notes=(),
        skipped_entries=(),
        rows=rows,
        part=part.name,
    )
    facts = HeldOutFacts(part.name, unknown=len(labels) - len(rows), repeated=int(equal.sum()))
    return replace(pack, held_out=held_out, held_out_facts=facts)
