"""Models that upscale images, and models that generate them: each command needs one kind."""

from typing import TYPE_CHECKING, Protocol

from iddm_cli.errors import UsageError
from iddm_cli.workflows.latents.refusal import check_generates

if TYPE_CHECKING:
    from iddm_cli.profiles.profile import ResolvedProfile


class NamedModel(Protocol):
    """A trained model: see `workflows.models.ModelSource`."""

    @property
    def reference(self) -> str: ...  # noqa: D102


def check_upscales(model: NamedModel, profile: "ResolvedProfile", *, wanted: bool | None) -> None:
    """Check that a model upscales images, or that it does not.

    Args:
        model: The model.
        profile: Its profile.
        wanted: Whether it must; None: every kind does, an autoencoder too.

    Raises:
        UsageError: It is of the other kind, or an autoencoder.
    """
    if wanted is None:
        return
    check_generates(profile, model.reference)
    if profile.model.is_upscaler == wanted:
        return
    name = model.reference
    if wanted:
        raise UsageError(
            f"{name} generates images, and upscales none",
            "Name a run that was trained with model.condition: low_resolution.",
        )
    raise UsageError(
        f"{name} upscales images, and generates none by itself",
        f"Upscale a folder: iddm upscale {name} FOLDER. Or generate with another run, and upscale "
        f"what it generates: iddm generate RUN --upscale {name}",
    )
