"""Trained models: loaded to draw, to be served and exported; or made of foreign files."""

from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import torch

from iddm_cli.build.networks import check_size, make_denoiser, picture_shape
from iddm_cli.build.place import Place
from iddm_cli.diffusion.denoiser import Denoiser
from iddm_cli.engine.checkpoint_folder import checkpoint_files
from iddm_cli.engine.fit import Tensors
from iddm_cli.engine.generator import Generator
from iddm_cli.engine.optimizers import unused_state
from iddm_cli.export.model import Story, TrainedModel
from iddm_cli.importing.foreign import Asked, Foreign
from iddm_cli.importing.source import read
from iddm_cli.run import Run
from iddm_cli.serving.exact import ON_CPU, ON_GPU, Exact
from iddm_cli.serving.model import ServedModel
from iddm_cli.settings import Profile


class Saved(Protocol):
    """Weights on the disk: a checkpoint, or an exported file."""

    @property
    def step(self) -> int:
        """Updates done when they were saved."""
        ...

    def read(self, part: str, like: Tensors | None = None) -> Tensors:
        """Read model or average, which must fit the tensors in `like`."""
        ...


def load_denoiser(
    profile: Profile, num_classes: int, saved: Saved, weights: str, device: torch.device
) -> Denoiser:
    """Make a denoiser and fill it from a checkpoint: its `average` or `raw` weights.

    Raises:
        CheckpointError: The checkpoint is damaged, or is of another network.
    """
    denoiser = make_denoiser(profile, num_classes).requires_grad_(False).eval()
    part = {"average": "average", "raw": "model"}[weights]
    targets = denoiser.backbone.state_dict()
    for name, tensor in saved.read(part, targets).items():
        targets[name].copy_(tensor)
    return denoiser.to(device)


def make_generator(
    profile: Profile, classes: tuple[str, ...], saved: Saved, place: Place
) -> Generator:
    """Make the generator of a trained run.

    Raises:
        CheckpointError: The checkpoint is damaged, or is of another network.
    """
    sampling = profile.sampling
    denoiser = load_denoiser(profile, len(classes), saved, sampling.weights, place.device)
    return Generator(
        denoiser, sampling, num_classes=len(classes), shape=picture_shape(profile.data)
    )


def load_served(
    name: str,
    profile: Profile,
    classes: tuple[str, ...],
    saved: Saved,
    place: Place,
    *,
    reference: str,
) -> ServedModel:
    """Load a trained model for the server; on the CPU each thread computes pictures of its own.

    Args:
        name: The run's name.
        profile: Its profile, its sampling section as it is to be used.
        classes: Names of its classes.
        saved: Its weights.
        place: Where it computes.
        reference: What `iddm generate` calls it.

    Raises:
        CheckpointError: The checkpoint is damaged, or is of another network.
    """
    sampling, shape = profile.sampling, picture_shape(profile.data)
    denoiser = load_denoiser(profile, len(classes), saved, sampling.weights, place.device)
    on_cpu = place.device.type == "cpu"
    return ServedModel(
        name=name,
        reference=reference,
        trained=saved.step,
        classes=classes,
        shape=shape,
        sampling=sampling,
        denoiser=denoiser,
        exact=Exact(
            denoiser,
            shape,
            blocks=ON_CPU if on_cpu else ON_GPU,
            lanes=torch.get_num_threads() if on_cpu else 1,
        ),
    )


def load_model(
    name: str, profile: Profile, classes: tuple[str, ...], saved: Saved, story: Story
) -> TrainedModel:
    """Load what is exported of a trained model.

    Raises:
        CheckpointError: It is damaged, or is of another network.
    """
    weights = profile.sampling.weights
    return TrainedModel(
        run=name,
        step=saved.step,
        weights=weights,
        profile=profile,
        classes=classes,
        denoiser=load_denoiser(profile, len(classes), saved, weights, torch.device("cpu")),
        story=story,
    )


def story_of(run: Run, step: int) -> Story:
    """Return what a run's files tell of its training, up to a step."""
    rows = [row for row in run.rows() if row["step"] <= step]
    manifest = run.read("run.json")
    grid = run.samples / f"step-{step:08d}.png"
    return Story(
        dataset=run.read("dataset.json"),
        figures=rows[-1] if rows else {},
        made_with={name: str(manifest[name]) for name in ("iddm", "torch") if name in manifest},
        grid=grid.read_bytes() if grid.is_file() else b"",
    )


def import_model(source: Path, asked: Asked) -> Foreign:
    """Read a model of another program, or an export of our own.

    Raises:
        CheckpointError: It cannot be imported.
        UsageError: It does not say something that must be given.
    """
    return read(source, asked, check_size)


def imported_files(model: Foreign) -> Iterator[tuple[str, bytes]]:
    """Yield the files of an imported run's first checkpoint, by their paths inside it."""
    parts = {
        "model": model.raw,
        "average": model.average,
        "optimizer": unused_state(model.raw, model.profile.training),
    }
    state: dict[str, object] = {"bits": {}, "scaler": {}, "course": {}, "metrics": {}}
    return checkpoint_files(0, parts, state)
