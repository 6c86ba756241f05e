"""The autoencoder of a run on latents: found, described to the profile, and copied into the run.

The copy is an exported file, so that the run generates and resumes when the autoencoder's own run
is gone.
"""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from iddm_cli.display.progress import show_progress
from iddm_cli.errors import ProfileError, RunError, UsageError
from iddm_cli.runs.run import Run
from iddm_cli.workflows import models
from iddm_cli.workflows.latents.own_encoder import open_run_encoder
from iddm_cli.workflows.training.data import prepare_data
from iddm_cli.workflows.transferring.trained_source import TrainedSource, describe_source

if TYPE_CHECKING:
    import torch

    from iddm_cli.data.packs.pack import Pack
    from iddm_cli.engine.sampling.latent_decoder import LatentDecoder
    from iddm_cli.profiles.profile import Profile, ResolvedProfile


def find_encoder(
    profile: "Profile", runs_dir: Path, resumed: Run | None = None
) -> TrainedSource | None:
    """Return the autoencoder of a training; None where pixels are trained on.

    Args:
        profile: The profile.
        runs_dir: The folder of runs, for a new run.
        resumed: The run that is resumed, which has a copy; None for a new one.

    Raises:
        IddmError: There is none, it is damaged, or it is another network.
    """
    reference = profile.data.encoder
    if reference is None:
        return None
    if resumed is not None:
        return describe_source(open_run_encoder(resumed), None, "average")
    try:
        model = models.find_model(runs_dir, reference)
    except RunError as error:
        raise RunError(
            f"data.encoder: {error.problem}",
            "Train one: iddm train --profile autoencoder --data FOLDER --name "
            f"{Path(reference).name}. Or name another: --set data.encoder=RUN",
        ) from error
    if not model.load_profile([]).model.is_autoencoder:
        raise UsageError(
            f"data.encoder: {reference} is not an autoencoder",
            "Train one: iddm train --profile autoencoder --data FOLDER --name NAME",
        )
    return describe_source(model, None, "average")


def adopt_encoder(profile: "Profile", encoder: TrainedSource) -> "Profile":
    """Return a profile with the channels and the latents of its autoencoder.

    Raises:
        UsageError: The autoencoder was trained on images of other channels.
        ProfileError: The network cannot compute latents of this size.
    """
    from iddm_cli.profiles.checking.rules import check_rules
    from iddm_cli.profiles.model_settings import AutoencoderSettings

    own = encoder.load_profile()
    assert isinstance(own.model, AutoencoderSettings), "checked when it was found"
    channels = profile.data.channels
    if channels not in ("auto", own.data.channels):
        raise UsageError(
            f"data.channels is {channels}, and the autoencoder {encoder.name} was trained on "
            f"{own.data.channels}",
            f"Set data.channels: {own.data.channels}, or leave it out.",
        )
    latents = [own.model.latent_channels, own.model.downsampling]
    update = {"channels": own.data.channels, "latents": latents}
    data = profile.data.model_copy(update=update)
    adopted = profile.model_copy(update={"data": data})
    for issue in check_rules(adopted):
        raise ProfileError(issue.problem, issue.hint)
    return adopted


def prepare_planned_data(profile: "Profile", runs_dir: Path) -> "tuple[ResolvedProfile, Pack]":
    """Find and pack the dataset of a training that is planned, and encode it where it has to be.

    Raises:
        IddmError: The dataset or the autoencoder cannot be used.
    """
    from iddm_cli.engine.device import choose_devices

    encoder = find_encoder(profile, runs_dir)
    if encoder is None:
        return prepare_data(profile)
    resolved, pack = prepare_data(adopt_encoder(profile, encoder), values=encoder.values)
    device = choose_devices(resolved.runtime.device, resolved.runtime.devices)[0]
    return resolved, encode_images(resolved, pack, encoder, device)


def encode_images(
    profile: "ResolvedProfile",
    pack: "Pack",
    encoder: TrainedSource,
    device: "torch.device",
    resumed: Run | None = None,
) -> "Pack":
    """Return a pack with the latents of its images, with a progress bar.

    Args:
        profile: The profile.
        pack: The dataset.
        encoder: The autoencoder.
        device: Where it computes.
        resumed: The run that is resumed, which has recorded the scale; None measures it.

    Raises:
        IddmError: The autoencoder or the run is damaged, or the cache cannot be written.
    """
    from iddm_cli.build.latents.encoding import load_autoencoder, pack_latents

    scale = None if resumed is None else resumed.read_latent_scale()
    autoencoder = load_autoencoder(encoder.load_profile(), encoder.open_weights(), device)
    with show_progress() as progress:
        return pack_latents(profile, pack, autoencoder, scale=scale, progress=progress)


def load_source_decoder(
    encoder: TrainedSource | None, pack: "Pack", device: "torch.device"
) -> "LatentDecoder | None":
    """Load the decoder of the latents of a pack; None where pixels are trained on.

    Raises:
        CheckpointError: The autoencoder is damaged.
    """
    from iddm_cli.build.latents.encoding import load_decoder

    if encoder is None or pack.latents is None:
        return None
    profile, weights = encoder.load_profile(), encoder.open_weights()
    return load_decoder(profile, weights, pack.latents.scale, device)


def export_encoder(run: Run, encoder: TrainedSource) -> Iterator[tuple[str, bytes]]:
    """Yield the name and content of the file that holds the autoencoder inside the new run.

    Raises:
        IddmError: The autoencoder is no longer there, or is damaged.
    """
    yield run.encoder_path.name, replace(encoder, classes=()).build_file()
