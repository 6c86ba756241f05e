"""The weights of a new run that starts from a trained model, and the checkpoint that holds them."""

from collections.abc import Iterator

from torch import Tensor, nn

from iddm_cli.build.networks import build_backbone, build_denoiser
from iddm_cli.checkpoints.checkpoint_folder import checkpoint_files
from iddm_cli.checkpoints.tensors import Tensors
from iddm_cli.checkpoints.weights_source import WeightsSource
from iddm_cli.engine.optimization.optimizers import initial_optimizer_state
from iddm_cli.networks.skeleton import shapes_only
from iddm_cli.networks.transferring.growing import add_levels, grow_patches
from iddm_cli.networks.transferring.weight_transfer import ClassMapping, adapt_weights
from iddm_cli.networks.unet import UNet
from iddm_cli.profiles.origins.growth import Growth, find_growth
from iddm_cli.profiles.profile import ResolvedProfile
from iddm_cli.records.weights_names import part_of_weights


def load_initial_weights(
    before: ResolvedProfile,
    num_classes: int,
    source: WeightsSource,
    profile: ResolvedProfile,
    mapping: ClassMapping,
) -> Tensors:
    """Return the weights of a trained model, adapted to the network of a new run.

    Layers and classes that the trained model did not have start untrained, as a function of the
    seed.

    Args:
        before: The profile of the trained model; its sampling section names the weights to read.
        num_classes: Number of its classes.
        source: Its weights.
        profile: The profile of the new run.
        mapping: Which of its classes those of the new run are.

    Raises:
        CheckpointError: The weights are damaged, or belong to another network.
        UsageError: The machine has not enough memory for the new network.
    """
    with shapes_only():
        old = build_backbone(before, num_classes)
        new = build_backbone(profile, len(mapping.rows))
    weights = source.read(part_of_weights(before.sampling.weights), old.state_dict())
    channels = before.data.channels, profile.data.channels
    conditions = before.condition_channels, profile.condition_channels
    growth = find_growth(before.model, profile.model)
    needs_untrained = growth or mapping.has_new
    untrained = build_denoiser(profile, len(mapping.rows)).backbone if needs_untrained else new
    fresh = _read_class_table(untrained) if mapping.has_new else None
    adapted = adapt_weights(weights, old, new, mapping, channels, conditions, fresh)
    return _grow_weights(adapted, growth, untrained) if growth else adapted


def _read_class_table(network: nn.Module) -> Tensor:
    """Return the rows of the class table of an untrained network."""
    table = network.class_table()  # type: ignore[operator]
    assert isinstance(table, nn.Embedding), "a network that is trained on classes has their table"
    return table.weight.detach()


def _grow_weights(weights: Tensors, growth: Growth, network: nn.Module) -> Tensors:
    """Return weights for a network with more levels, or larger patches, than they were trained in.

    Args:
        weights: The weights.
        growth: What is new in the network.
        network: The network, untrained.
    """
    if growth.patch > 1:
        weights = grow_patches(weights, network, growth.patch)
    if growth.levels:
        assert isinstance(network, UNet), "only a U-Net grows by levels"
        weights = add_levels(weights, network, growth.levels)
    return weights


def iter_initial_checkpoint(raw: Tensors, average: Tensors) -> Iterator[tuple[str, bytes]]:
    """Yield the files of a checkpoint of step 0, by their paths inside it.

    Args:
        raw: The weights.
        average: The averaged weights, from which training starts.
    """
    parts = {"model": raw, "average": average, "optimizer": initial_optimizer_state(raw)}
    state: dict[str, object] = {"bits": {}, "scaler": {}, "course": {}, "metrics": {}}
    return checkpoint_files(0, parts, state)
