"""The gallery: the folder that `iddm generate` fills, which is itself a dataset folder.

<out>/<class>/<class>-000007.png    pictures; without classes: images/image-000007.png
<out>/grid.png                      the first ones of each class
<out>/manifest.json                 how they were made, and the list of them

A class whose name no folder can have gets one with a digest: class-3-0123456789.
"""

import hashlib
import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from iddm_cli import durable, image_files
from iddm_cli.display import console
from iddm_cli.display.progress import show_progress
from iddm_cli.errors import UsageError
from iddm_cli.image_files import SamplingMetadata

if TYPE_CHECKING:
    from iddm_cli.build.models import Saved
    from iddm_cli.engine.image_generator import ImageGenerator, Sample
    from iddm_cli.profiles.profile import Profile

GRID_COLUMNS = 10
GRID_PICTURES = 100
GRID_CLASSES = 100
"""Classes that the grid shows at most."""

MOST_PICTURES = 1_000_000
LONGEST_NAME = 200
"""Bytes of a folder's name; a file's adds a number, and ends a path that may be 255 long."""

TAKEN = ("", ".", "..", "grid.png", "manifest.json")


def folder_name(name: str, label: int) -> str:
    """Return what the folder of a class is called: its name, if a folder can have it.

    Args:
        name: Any text, for dataset.json may come from elsewhere.
        label: The class's index.
    """
    digest = hashlib.sha256(name.encode(errors="surrogatepass")).hexdigest()[:10]
    if Path(name).name != name or name.lower() in TAKEN or not _is_storable(name):
        return f"class-{label}-{digest}"
    content = name.encode()
    if len(content) <= LONGEST_NAME:
        return name
    return f"{content[:LONGEST_NAME].decode(errors='ignore')}-{digest}"


def _is_storable(name: str) -> bool:
    try:
        return b"\0" not in name.encode()
    except UnicodeEncodeError:  # half a pair of surrogates
        return False


class Plan:
    """Which files a gallery gets.

    Args:
        folder: The gallery's folder.
        classes: All classes of the run; empty without classes.
        labels: The classes wanted.
        count: Pictures of each.
        form: png, jpg or webp.
        grid: Whether grid.png is drawn.
    """

    def __init__(
        self,
        folder: Path,
        classes: tuple[str, ...],
        labels: list[int],
        count: int,
        form: str,
        *,
        grid: bool,
    ) -> None:
        self.folder = folder
        self.classes = classes
        self.labels = labels
        self.count = count
        self.form = form
        self.grid = grid

    @property
    def shown_each(self) -> int:
        """How many pictures of each class the grid shows: a row, or more if classes are few."""
        return max(GRID_COLUMNS, GRID_PICTURES // len(self.labels))

    @property
    def shown_labels(self) -> list[int]:
        """The classes that the grid shows."""
        return self.labels[:GRID_CLASSES] if self.grid else []

    def file(self, label: int, index: int) -> Path:
        """Return the file of one picture."""
        folder = folder_name(self.classes[label], label) if self.classes else "images"
        stem = folder if self.classes else "image"
        return self.folder / folder / f"{stem}-{index:06d}.{self.form}"

    def check_count(self) -> None:
        """Refuse to draw without end.

        Raises:
            UsageError: So many pictures that listing them alone would fill the memory.
        """
        total = self.count * len(self.labels)
        if total > MOST_PICTURES:
            raise UsageError(
                f"--count {self.count} would be {total:,} pictures",
                f"Draw at most {MOST_PICTURES:,} at a time; another --seed draws others.",
            )

    def check_free(self, *, overwrite: bool) -> None:
        """Refuse to write over what is there.

        Raises:
            UsageError: The folder holds something already, or is no folder.
        """
        try:
            holds = self.folder.exists() and any(self.folder.iterdir())
        except OSError as error:  # a file, a name too long, a folder that may not be entered
            raise self._unusable(error) from error
        if holds and not overwrite:
            raise UsageError(
                f"--out {self.folder} is not empty",
                "Choose a new folder, or --overwrite to replace files of the same names.",
            )

    def make_folders(self) -> None:
        """Make the gallery's folders.

        Raises:
            UsageError: They cannot be made.
        """
        try:
            for label in self.labels:
                self.file(label, 0).parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise self._unusable(error) from error

    def _unusable(self, error: OSError) -> UsageError:
        return UsageError(f"--out {self.folder}: {error.strerror}", "Choose another --out.")


def fill(
    plan: Plan, run: str, profile: "Profile", saved: "Saved", *, seed: int, as_json: bool
) -> None:
    """Draw the pictures and write them as they come."""
    from iddm_cli.build.compute import choose_place
    from iddm_cli.build.models import make_generator
    from iddm_cli.engine.image_generator import SampleSpec

    generator = make_generator(profile, plan.classes, saved, choose_place(profile.runtime))
    recipe = describe(run, profile, saved, generator, seed)
    specs = [SampleSpec(label, index) for label in plan.labels for index in range(plan.count)]
    plan.make_folders()
    shown: dict[int, list[Sample]] = {label: [] for label in plan.shown_labels}
    with show_progress() as progress:
        drawn = generator.generate(specs, seed=seed, batch_size=profile.sampling.batch_size)
        for done, picture in enumerate(drawn, start=1):
            write(plan, recipe, picture)
            if picture.spec.label in shown and picture.spec.index < plan.shown_each:
                shown[picture.spec.label].append(picture)
            progress("drawing pictures", done, len(specs))
    grid = draw_grid(plan, shown) if plan.grid else None
    document = write_manifest(plan, recipe, [plan.file(spec.label, spec.index) for spec in specs])
    if as_json:
        console.print_json(document | {"out": str(plan.folder), "grid": grid and str(grid)})
    else:
        console.print_result(str(grid or plan.folder))
        console.print_note(f"{len(specs)} pictures in {plan.folder}")


def describe(
    run: str, profile: "Profile", saved: "Saved", generator: "ImageGenerator", seed: int
) -> SamplingMetadata:
    """Put together what all pictures of this gallery share."""
    sampling = profile.sampling
    return SamplingMetadata(
        run=run,
        step=saved.step,
        weights=sampling.weights,
        seed=seed,
        sampler=sampling.sampler,
        steps=len(generator.solver_table),
        eta=sampling.eta,
        guidance=sampling.guidance,
    )


def write(plan: Plan, recipe: SamplingMetadata, picture: "Sample") -> None:
    """Write one picture, with how it was made inside the file."""
    from iddm_cli.engine.image_generator import to_image

    spec = picture.spec
    notes = recipe.text_notes(spec.index, plan.classes[spec.label] if plan.classes else "")
    content = image_files.encode_image(to_image(picture.pixels), plan.form, notes)
    # Thousands of them: whole or not at all, but not each flushed to the disk by itself.
    file = plan.file(spec.label, spec.index)
    temporary = durable.partial_path(file)
    temporary.write_bytes(content)
    temporary.replace(file)


def draw_grid(plan: Plan, shown: "dict[int, list[Sample]]") -> Path:
    """Draw the first pictures of each class as grid.png."""
    from iddm_cli.engine.image_generator import to_image

    rows: list[image_files.GridRow] = []
    for label, drawn in shown.items():
        images = [to_image(picture.pixels) for picture in drawn]
        for start in range(0, len(images), GRID_COLUMNS):
            name = plan.classes[label] if plan.classes and start == 0 else ""
            rows.append((name, images[start : start + GRID_COLUMNS]))
    path = plan.folder / "grid.png"
    image_files.save_png(image_files.make_grid(rows), path)
    return path


def write_manifest(plan: Plan, recipe: SamplingMetadata, files: list[Path]) -> dict[str, object]:
    """Write manifest.json and return what it says."""
    document = {
        **asdict(recipe),
        "classes": [plan.classes[label] for label in plan.labels if plan.classes],
        "count": plan.count,
        "images": [file.relative_to(plan.folder).as_posix() for file in files],
    }
    content = json.dumps(document, indent=1, ensure_ascii=False).encode()
    durable.write_file(plan.folder / "manifest.json", content)
    return document
