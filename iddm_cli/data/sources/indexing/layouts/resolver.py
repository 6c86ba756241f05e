"""Resolve the layout of a dataset: a function of the names of its images.

A folder, a zip and a tar with the same names thus have the same layout. Each step leaves out some
images or enters a folder, and each is reported.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

from iddm_cli.data.sources.indexing.layouts.folder_tree import Folder, build_tree, merge_folders
from iddm_cli.data.sources.indexing.layouts.held_out_folders import HeldOutFolder, select_part
from iddm_cli.data.sources.indexing.layouts.layout_notes import LayoutNotes
from iddm_cli.data.sources.indexing.layouts.mask_files import (
    find_mask_files,
    find_twins,
    is_label_image,
)
from iddm_cli.data.sources.indexing.layouts.masks import (
    HEADERS_READ,
    ReadHead,
    find_companions,
    find_mask_folders,
    is_image_name,
)
from iddm_cli.data.sources.indexing.layouts.splits import (
    Split,
    find_split,
    parse_part,
)
from iddm_cli.data.sources.indexing.layouts.words import DOCUMENT_WORDS, split_words

HELD_OUT = "belongs to another part of a split than the training part"
BESIDE_SPLIT = "beside the parts of a split"
MASK_FILE = "a mask of another image"
TWIN = "a label image: a photograph has the same name"
OUTSIDE_FOLDER = "outside the folder around all others"
JUNK_SHARE = 0.1
"""Greatest share of the images of a folder around the classes that may lie directly in it."""


@dataclass
class ResolvedLayout:
    """Which images are used, and the folder that each belongs to."""

    folder: Folder
    """The images used: those directly in it have no class, and each folder in it is a class."""

    base: str = ""
    """The innermost folder around all images used, with a slash at its end; "" for none."""

    levels: list[str] = field(default_factory=lambda: [""])
    """The dataset and the folders entered; the classes lie directly in the last ones."""

    skipped: dict[str, str] = field(default_factory=dict)
    """Images that are left out, and the reasons."""

    beside: dict[str, str] = field(default_factory=dict)
    """Images beside the folders entered: used only where a table assigns them a class."""

    held_out: list[str] = field(default_factory=list)
    """Those of them that belong to the held-out parts of a split."""

    parts: list[HeldOutFolder] = field(default_factory=list)
    """The folders that they are in."""

    notes: list[str] = field(default_factory=list)
    """What was left out, as sentences for the user."""

    class_notes: list[str] = field(default_factory=list)
    """Which folders are classes, likewise: for datasets without another source of classes."""

    @property
    def is_recognised(self) -> bool:
        """Whether folders are not simply classes."""
        return bool(self.skipped) or self.base not in ("", "images/")

    def classes(self) -> dict[str, str]:
        """Return the name of the class folder of each image that has one."""
        folders = self.folder.folders.items()
        return {path: name for name, folder in folders for path in folder.iter_images()}


def resolve_layout(
    paths: Iterable[str], read_head: ReadHead = lambda _: b"", *, unwrap: bool = False
) -> ResolvedLayout:
    """Determine which folders only surround or accompany the images.

    Args:
        paths: The images, "/" between the parts.
        read_head: Returns the first bytes of a file; read where names do not decide.
        unwrap: Whether one folder around all images is never a class, as in most archives.
    """
    return _LayoutResolver(build_tree(paths), read_head, unwrap=unwrap).run()


def take_folders(paths: Iterable[str], *, unwrap: bool = False) -> ResolvedLayout:
    """Return the layout in which each folder is a class; for the arguments see `resolve_layout`."""
    layout = ResolvedLayout(build_tree(paths))
    while unwrap and len(layout.folder.folders) == 1 and not layout.folder.images:
        (layout.folder,) = layout.folder.folders.values()
        layout.base = layout.folder.path
        layout.levels.append(layout.base)
    return layout


def resolve_part(layout: ResolvedLayout, read_head: ReadHead) -> tuple[str, ResolvedLayout] | None:
    """Return the name and the layout of the part that measures quality, or None without one.

    Args:
        layout: The layout of the dataset.
        read_head: Returns the first bytes of a file.
    """
    part = select_part(layout.parts)
    if part is None:
        return None
    if part.has_owners:
        return part.name, ResolvedLayout(part.folder, layout.base)
    resolver = _LayoutResolver(part.folder, read_head, unwrap=False)
    resolver.layout.base = part.folder.path
    resolver.layout.levels = [part.folder.path]
    resolver.has_companions = True  # as in the training part: parts of a split lie beside it
    return part.name, resolver.run()


class _LayoutResolver:
    """Narrows a tree of folders down to the images used."""

    def __init__(self, root: Folder, read_head: ReadHead, *, unwrap: bool) -> None:
        self.layout = ResolvedLayout(root)
        self.notes = LayoutNotes()
        self.read_head = read_head
        self.unwrap = unwrap
        self.has_companions = False  # whether something beside the images was left out
        self.has_masks = False  # whether masks were left out directly in the folder
        self.is_image_folder = False  # whether the folder was entered as the one beside masks

    def run(self) -> ResolvedLayout:
        """Resolve the layout, from the outside in."""
        steps = (self._leave_out_masks, self._enter_split, self._leave_out_documents)
        while any(step() for step in steps) or self._enter_lone():
            pass
        self._resolve_inside_classes()
        for folder in self.layout.folder.iter_folders():
            self._leave_out_mask_files(folder)
        if self.is_image_folder and self.layout.folder.images:
            folder = self.layout.folder
            self.layout.folder = Folder(folder.path, list(folder.iter_images()))
        self.layout.notes = self.notes.describe_left_out()
        self.layout.class_notes = self.notes.describe_classes(self.layout.folder.folders)
        return self.layout

    def _leave_out_masks(self, inside: Folder | None = None) -> bool:
        """Leave out the folders of masks in a folder; return whether there were any."""
        folder = inside or self.layout.folder
        found = find_mask_folders(folder, self.read_head)
        if inside is None:
            self.notes.doubtful_masks = found.doubtful
        for name, kind in found.masks.items():
            images = folder.folders.pop(name).iter_images()
            self.notes.leave_out(kind, name, self._skip(images, f"{kind} beside the images"))
        if not found.masks:
            return False
        for name in find_companions(folder.folders):
            images = folder.folders.pop(name).iter_images()
            self.notes.leave_out(
                "other images", name, self._skip(images, "beside images and masks")
            )
        if inside is None:
            self.has_companions = self.has_masks = True
        return True

    def _enter_split(self) -> bool:
        """Enter the training part if the folders are the parts of a split."""
        folder = self.layout.folder
        split = find_split({name: child.folders for name, child in folder.folders.items()})
        if not split:
            return False
        self.has_companions, self.has_masks = True, False
        self._skip(folder.images, BESIDE_SPLIT)
        folder.images = []
        self._leave_out_parts(folder, split)
        if not split.has_classes:
            parts = list(folder.folders.values())
            self.layout.levels += [part.path for part in parts]
            self.layout.base = parts[0].path if len(parts) == 1 else self.layout.base
            self.layout.folder = merge_folders(parts, self.layout.base)
        return True

    def _leave_out_parts(self, folder: Folder, split: Split, owner: str = "") -> None:
        """Leave out all parts but the training part; `owner` is the class that they are in."""
        for name in split.training:
            self.notes.use_part(name)
        for name in split.held_out:
            self._leave_out_held_out(folder, name, owner or split.find_class(name))
        for name in split.others:
            images = folder.folders.pop(name).iter_images()
            self.notes.leave_out_part(name, self._skip(images, BESIDE_SPLIT))

    def _leave_out_held_out(self, folder: Folder, name: str, owner: str) -> None:
        part = folder.folders.pop(name)
        self.layout.parts.append(HeldOutFolder(name, part, owner))
        images = list(part.iter_images())
        self.layout.held_out += images
        self.notes.leave_out_part(name, self._skip(images, HELD_OUT))

    def _leave_out_documents(self) -> bool:
        """Leave out folders such as docs beside one that holds only folders."""
        folders = self.layout.folder.folders
        names = [name for name in folders if set(split_words(name)) & DOCUMENT_WORDS]
        others = [child for name, child in folders.items() if name not in names]
        if not names or len(others) != 1 or others[0].images:
            return False
        if sum(folders[name].count() for name in names) > JUNK_SHARE * others[0].count():
            return False
        for name in names:
            images = folders.pop(name).iter_images()
            self.notes.leave_out("documentation", name, self._skip(images, "documentation"))
        return True

    def _enter_lone(self) -> bool:
        """Enter the only folder, unless it is a class."""
        folder = self.layout.folder
        if len(folder.folders) != 1:
            return False
        ((name, lone),) = folder.folders.items()
        is_named = name == "images" or self.has_masks
        if self.has_companions:
            is_named |= is_image_name(name) or parse_part(name) is not None
        elif not folder.images:  # beside loose images, `new` may be a few more of them
            is_named |= is_image_name(name)
        if not (is_named or self._is_wrapper(folder, lone)):
            return False
        reason = "outside the folder images" if name == "images" else OUTSIDE_FOLDER
        self.layout.beside |= dict.fromkeys(folder.images, reason)
        if folder.images or name != "images":
            self.notes.entered = lone.path
        self.has_masks = False
        self.is_image_folder = is_named and not _has_junk(lone)
        self.layout.levels.append(lone.path)
        self.layout.base = lone.path
        self.layout.folder = lone
        return True

    def _is_wrapper(self, folder: Folder, lone: Folder) -> bool:
        """Return whether the only folder holds only folders, or else only junk beside them."""
        if self.unwrap and not self.has_companions and not folder.images:
            return True
        is_part = bool(lone.folders) and parse_part(lone.name) is not None
        return not lone.images or is_part or _has_junk(lone)

    def _resolve_inside_classes(self) -> None:
        """Leave out masks and held-out parts that each class has in folders of its own."""
        classes = self.layout.folder.folders
        split_inside = False
        for owner, child in classes.items():
            for folder in child.iter_folders():
                self._leave_out_masks(folder)
                inner = {name: below.folders for name, below in folder.folders.items()}
                if split := find_split(inner):
                    self._leave_out_parts(folder, split, owner)
                    split_inside |= folder is child
        for owner, child in classes.items() if split_inside else ():
            for name in [name for name in child.folders if _is_held_out(name)]:
                self._leave_out_held_out(child, name, owner)
        for name in [name for name, child in classes.items() if not child.count()]:
            del classes[name]
            self.notes.emptied.append(name)

    def _leave_out_mask_files(self, folder: Folder) -> None:
        """Leave out the files in a folder that are masks of other files in it."""
        masks = dict.fromkeys(find_mask_files(folder.images), MASK_FILE)
        twins = [path for path in find_twins(folder.images) if path not in masks]
        if twins and all(is_label_image(self.read_head(path)) for path in twins[:HEADERS_READ]):
            masks |= dict.fromkeys(twins, TWIN)
        elif twins:
            self.notes.twins += twins
        for path, reason in masks.items():
            self._skip([path], reason)
        self.notes.mask_files += masks
        folder.images = [path for path in folder.images if path not in masks]

    def _skip(self, paths: Iterable[str], reason: str) -> int:
        """Leave out images for a reason, and return their number."""
        skipped = dict.fromkeys(paths, reason)
        self.layout.skipped |= skipped
        return len(skipped)


def _has_junk(folder: Folder) -> bool:
    """Return whether a few images lie beside several folders, where they were left by accident."""
    return len(folder.folders) > 1 and len(folder.images) <= JUNK_SHARE * folder.count()


def _is_held_out(name: str) -> bool:
    part = parse_part(name)
    return part is not None and part.part == "held out" and not part.stem
