"""The autoencoder of a trained latent model: the copy in its run, or in its exported file."""

from typing import TYPE_CHECKING

from iddm_cli.errors import CheckpointError
from iddm_cli.runs.exported_file import open_exported_file
from iddm_cli.runs.run import Run
from iddm_cli.workflows import models

if TYPE_CHECKING:
    import torch

    from iddm_cli.engine.sampling.latent_decoder import LatentDecoder
    from iddm_cli.export.trained_model import LatentSpace
    from iddm_cli.profiles.profile import ResolvedProfile
    from iddm_cli.records.latent_scale import LatentScale


RESTORE = (
    "Restore the file from a copy of the run. Other runs on latents of the same autoencoder hold "
    "the same file."
)


def open_run_encoder(run: Run) -> models.FileModel:
    """Return a run's copy of its autoencoder.

    Raises:
        CheckpointError: It is missing or damaged; the hint says where the same file may be.
    """
    try:
        exported = open_exported_file(run.encoder_path)
        exported.verify()
    except (CheckpointError, OSError) as error:
        raise CheckpointError(
            f"run {run.name} has lost the autoencoder of its latents: "
            f"{error.problem if isinstance(error, CheckpointError) else error}",
            RESTORE,
        ) from error
    return models.FileModel(exported)


def open_own_encoder(model: models.ModelSource) -> models.FileModel:
    """Return the autoencoder of a trained latent model.

    Raises:
        CheckpointError: It is missing or damaged, or another network.
    """
    if isinstance(model, models.RunModel):
        encoder = open_run_encoder(model.run)
    else:
        assert isinstance(model, models.FileModel), "there are two kinds of models"
        encoder = models.FileModel(model.exported.open_autoencoder())
    if not _makes_latents_of(encoder, model):
        raise CheckpointError(
            f"{encoder.exported.path} is damaged: it holds another network than the autoencoder of "
            f"the latents of {model.name}",
            RESTORE,
        )
    return encoder


def _makes_latents_of(encoder: models.FileModel, model: models.ModelSource) -> bool:
    """Return whether a file holds an autoencoder whose latents have the shape of a model's."""
    from iddm_cli.profiles.model_settings import AutoencoderSettings

    settings = encoder.load_profile([]).model
    if not isinstance(settings, AutoencoderSettings):
        return False
    channels, shape = len(read_own_scale(model).mean), model.load_profile([]).data.latents
    return settings.latent_channels == channels and shape == settings.latent_shape


def read_own_scale(model: models.ModelSource) -> "LatentScale":
    """Return the scale of the latents of a trained model.

    Raises:
        IddmError: Its record is damaged.
    """
    if isinstance(model, models.RunModel):
        return model.run.read_latent_scale()
    assert isinstance(model, models.FileModel), "there are two kinds of models"
    return model.exported.read_latent_scale()


def load_latent_space(
    model: models.ModelSource, profile: "ResolvedProfile"
) -> "LatentSpace | None":
    """Load the autoencoder of a trained latent model for export; None where it has pixels.

    Raises:
        IddmError: The model, or its autoencoder, is damaged.
    """
    from iddm_cli.build.exporting import load_trained_model
    from iddm_cli.export.trained_model import LatentSpace

    if profile.data.encoder is None:
        return None
    encoder = open_own_encoder(model)
    weights = encoder.open_weights(None, "average")
    autoencoder = load_trained_model(
        encoder.name,
        encoder.load_profile([]),
        (),
        weights,
        encoder.load_provenance(weights.step),
        encoder.values,
    )
    return LatentSpace(autoencoder, read_own_scale(model))


def load_model_decoder(
    model: models.ModelSource, profile: "ResolvedProfile", device: "torch.device"
) -> "LatentDecoder | None":
    """Load the decoder of a trained model; None where it generates pixels.

    Raises:
        IddmError: The model, or its autoencoder, is damaged.
    """
    from iddm_cli.build.latents.encoding import load_decoder

    if profile.data.encoder is None:
        return None
    encoder = open_own_encoder(model)
    weights = encoder.open_weights(None, "average")
    return load_decoder(encoder.load_profile([]), weights, read_own_scale(model), device)


def list_decoder_facts(model: models.ModelSource, profile: "ResolvedProfile") -> list[object]:
    """Return what images depend on through a decoder, as JSON; nothing without one.

    Raises:
        IddmError: The model, or its autoencoder, is damaged.
    """
    if profile.data.encoder is None:
        return []
    encoder = open_own_encoder(model)
    return [encoder.exported.record.sha256, read_own_scale(model).to_json()]
