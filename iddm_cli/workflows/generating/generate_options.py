"""What `iddm generate` is asked for: its options, and which of them contradict each other."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from iddm_cli.errors import UsageError

if TYPE_CHECKING:
    from iddm_cli.workflows.models import CheckpointChoice

DEFAULT_COUNT = 16


@dataclass(frozen=True)
class GenerateOptions:
    """The options of `iddm generate`.

    Attributes:
        model: Name or folder of a run, or an exported file; None: the run last trained.
        runs_dir: Folder of all runs; None: the usual one.
        classes: Names or indices of classes, or all; None: all.
        count: Number of images per class; None: DEFAULT_COUNT.
        index: Indices of images, instead of a number of them.
        seed: Random seed.
        same_noise: Whether image i starts from the same noise in every class.
        sampling: Options that change the profile, see `models.load_sampling_profile`.
        checkpoint: The checkpoint.
        guide_with: The weaker model of autoguidance, see `guiding.parse_guide`.
        out: The folder; None: a new one.
        form: File format; None: one that can hold the values.
        grid: Whether an overview is written.
        overwrite: Whether the folder may hold files already.
        as_json: Whether the result is printed as JSON.
    """

    model: str | None = None
    runs_dir: Path | None = None
    classes: tuple[str, ...] | None = None
    count: int | None = None
    index: str | None = None
    seed: int = 0
    same_noise: bool = False
    sampling: Mapping[str, object] = field(default_factory=dict)
    checkpoint: "CheckpointChoice" = None
    guide_with: str | None = None
    out: Path | None = None
    form: str | None = None
    grid: bool = True
    overwrite: bool = False
    as_json: bool = False

    def check(self) -> None:
        """Check that the options go together.

        Raises:
            UsageError: Two of them contradict each other.
        """
        given = self._list_given()
        for one, other, reason in CONFLICTS:
            if one in given and other in given:
                raise UsageError(
                    f"{one} and {other} contradict each other: {reason}", f"Leave out {other}."
                )

    def _list_given(self) -> set[str]:
        options = {"--count": self.count, "--index": self.index}
        return {name for name, value in options.items() if value is not None}


CONFLICTS = (("--index", "--count", "the indices say how many images there are"),)
"""Pairs of options of which the second has no effect beside the first, and why."""
