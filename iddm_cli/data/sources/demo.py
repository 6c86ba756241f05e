"""The demo dataset: images of steel defects that the program renders itself."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from iddm_cli.data.decoding.images import DecodedImage, digest_bytes
from iddm_cli.data.progress import ProgressCallback, no_progress
from iddm_cli.data.sources import demo_images
from iddm_cli.data.sources.indexing.listing import SkippedFile
from iddm_cli.data.sources.source import SourceOptions

IMAGES_PER_CLASS = 500


@dataclass(frozen=True)
class DemoImage:
    """One demo image, not rendered yet."""

    class_name: str
    index: int
    height: int
    width: int

    def open(self, min_side: int = 0) -> DecodedImage:  # noqa: ARG002 (the size is fixed)
        """Render the image; it is the same one at every size."""
        image = demo_images.render_demo_image(
            self.class_name, self.index, height=self.height, width=self.width
        )
        content = digest_bytes(f"demo {self.class_name} {self.index}".encode())
        return DecodedImage(image, self.width, self.height, animated=False, content=content)


class DemoSource:
    """The demo images, rendered at the size they are trained at.

    Args:
        size: Height and width of each image, in pixels.
    """

    name = "demo"
    location = ""
    classes = demo_images.DEMO_CLASSES
    held_out = None

    def __init__(self, size: tuple[int, int]) -> None:
        self._height, self._width = size
        self.labels: Sequence[int] = [i // IMAGES_PER_CLASS for i in range(len(self))]
        self.skipped: list[SkippedFile] = []
        self.notes: list[str] = []

    def __len__(self) -> int:
        return len(self.classes) * IMAGES_PER_CLASS

    def item_name(self, i: int) -> str:
        """Return the class of image `i`, and its number within the class."""
        return f"{self.classes[i // IMAGES_PER_CLASS]}/{i % IMAGES_PER_CLASS:03d}"

    def image(self, i: int) -> DemoImage:
        """Return a handle of image `i`, which is not rendered yet."""
        class_name = self.classes[i // IMAGES_PER_CLASS]
        return DemoImage(class_name, i % IMAGES_PER_CLASS, self._height, self._width)

    def stored_bytes(self) -> int:
        """Return 0: nothing is stored."""
        return 0

    def fingerprint(self, progress: ProgressCallback = no_progress) -> str:
        """Digest the size and one image of each class, which changes when the renderer does."""
        digest = hashlib.sha256(f"demo {IMAGES_PER_CLASS} {self._height} {self._width}".encode())
        for done, name in enumerate(self.classes, start=1):
            digest.update(name.encode() + demo_images.render_demo_image(name, 0).tobytes())
            progress("rendering demo images", done, len(self.classes))
        return digest.hexdigest()


def open_demo(path: str, options: SourceOptions) -> DemoSource:  # noqa: ARG001 (one name)
    """Open the demo dataset."""
    return DemoSource(options.size)
