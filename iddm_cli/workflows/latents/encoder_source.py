"""The autoencoder of a run on latents: found, described to the profile, and copied into the run.

The copy is an exported file, so that the run generates and resumes when the autoencoder's own run
is gone.
"""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from iddm_cli.display import console
from iddm_cli.display.progress import show_progress
from iddm_cli.errors import IddmError, ProfileError, RunError, UsageError
from iddm_cli.runs.run import Run
from iddm_cli.workflows import models
from iddm_cli.workflows.latents.own_encoder import open_own_encoder, read_own_scale
from iddm_cli.workflows.training.data import prepare_data
from iddm_cli.workflows.transferring.trained_source import TrainedSource, describe_source

if TYPE_CHECKING:
    import torch

    from iddm_cli.data.packs.pack import Pack
    from iddm_cli.engine.sampling.latent_decoder import LatentDecoder
    from iddm_cli.profiles.profile import Profile, ResolvedProfile
    from iddm_cli.records.latent_scale import LatentScale


def find_encoder(
    profile: "Profile",
    runs_dir: Path,
    resumed: Run | None = None,
    parent: TrainedSource | None = None,
) -> TrainedSource | None:
    """Return the autoencoder of a training; None where pixels are trained on.

    Args:
        profile: The profile.
        runs_dir: The folder of runs, for a new run.
        resumed: The run that is resumed, which has a copy; None for a new one.
        parent: The trained model whose weights the run starts from, which has a copy; None: it
            starts untrained.

    Raises:
        IddmError: There is none, it is damaged, or it is another network; or the parent was not
            trained on its latents.
    """
    reference = profile.data.encoder
    if reference is None:
        return None
    if resumed is not None:
        own = open_own_encoder(models.RunModel(resumed))
        return describe_source(own, None, "average")
    if parent is not None:
        return _find_parents_encoder(reference, runs_dir, parent)
    return _find_named_encoder(reference, runs_dir)


def _find_named_encoder(reference: str, runs_dir: Path) -> TrainedSource:
    """Return the autoencoder that data.encoder names.

    Raises:
        IddmError: There is none, it is damaged, or it is another network.
    """
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


def _find_parents_encoder(reference: str, runs_dir: Path, parent: TrainedSource) -> TrainedSource:
    """Return the autoencoder of the model whose weights a run starts from.

    That model's own copy is taken, whatever has become of the run that data.encoder names.

    Raises:
        UsageError: It was trained on pixels, or data.encoder names another autoencoder.
        IddmError: The copy is missing or damaged.
    """
    known = parent.load_profile().data.encoder
    if known is None:
        raise UsageError(
            f"data.encoder: {reference} does not suit {parent.name}, which was trained on pixels",
            f"Leave data.encoder out. To train on latents, start without {parent.name}.",
        )
    own = describe_source(open_own_encoder(parent.open_model()), None, "average")
    try:
        named = _find_named_encoder(reference, runs_dir)
    except IddmError as error:
        if reference == known:  # it is no longer there, and need not be
            return own
        raise type(error)(error.problem, _advise_own_copy(parent)) from error
    if _digest_source(named) == _digest_source(own):
        return own
    if reference != known:
        raise UsageError(
            f"data.encoder: {reference} is not the autoencoder whose latents {parent.name} was "
            "trained on",
            _advise_own_copy(parent),
        )
    console.print_note(
        f"{reference} has changed since {parent.name} was trained on its latents: the new run "
        f"takes the copy in {parent.name}"
    )
    return own


def _advise_own_copy(parent: TrainedSource) -> str:
    return (
        f"Set data.encoder: {parent.load_profile().data.encoder}, for which the new run takes the "
        f"copy in {parent.name}. To train on other latents, start without {parent.name}."
    )


def _digest_source(encoder: TrainedSource) -> str:
    """Return the digest of the weights by which an autoencoder makes latents."""
    import torch

    from iddm_cli.build.latents.encoding import digest_encoder, load_autoencoder

    device = torch.device("cpu")
    network = load_autoencoder(encoder.load_profile(), encoder.open_weights(), device)
    return digest_encoder(network)


def find_scale(resumed: Run | None, parent: TrainedSource | None) -> "LatentScale | None":
    """Return the scale of latents that the weights of a training know; None: it is to be measured.

    Args:
        resumed: The run that is resumed; None for a new one.
        parent: The trained model whose weights a new run starts from; None: it starts untrained.

    Raises:
        IddmError: Its record is damaged.
    """
    if resumed is not None:
        return resumed.read_latent_scale()
    return None if parent is None else read_own_scale(parent.open_model())


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
    update = {"channels": own.data.channels, "latents": own.model.latent_shape}
    data = profile.data.model_copy(update=update)
    adopted = profile.model_copy(update={"data": data})
    for issue in check_rules(adopted):
        raise ProfileError(issue.problem, issue.hint)
    return adopted


def prepare_planned_data(
    profile: "Profile", runs_dir: Path, parent: TrainedSource | None = None
) -> "tuple[ResolvedProfile, Pack]":
    """Find and pack the dataset of a training that is planned, and encode it where it has to be.

    Args:
        profile: The profile.
        runs_dir: The folder of runs.
        parent: The trained model whose weights it would start from; None: it would start untrained.

    Raises:
        IddmError: The dataset or the autoencoder cannot be used.
    """
    from iddm_cli.engine.device import choose_devices

    encoder = find_encoder(profile, runs_dir, parent=parent)
    if encoder is None:
        return prepare_data(profile)
    resolved, pack = prepare_data(adopt_encoder(profile, encoder), values=encoder.values)
    device = choose_devices(resolved.runtime.device, resolved.runtime.devices)[0]
    scale = find_scale(None, parent)
    return resolved, encode_images(resolved, pack, encoder, device, scale)


def encode_images(
    profile: "ResolvedProfile",
    pack: "Pack",
    encoder: TrainedSource,
    device: "torch.device",
    scale: "LatentScale | None",
) -> "Pack":
    """Return a pack with the latents of its images, with a progress bar.

    Args:
        profile: The profile.
        pack: The dataset.
        encoder: The autoencoder.
        device: Where it computes.
        scale: The scale of the latents; None measures it.

    Raises:
        IddmError: The autoencoder or the run is damaged, or the cache cannot be written.
    """
    from iddm_cli.build.latents.encoding import load_autoencoder, pack_latents

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
