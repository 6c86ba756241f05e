"""What a new run takes from a trained model: which classes, which weights, and in which files."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from iddm_cli.errors import UsageError
from iddm_cli.records.weights_names import part_of_weights
from iddm_cli.runs.run import Run
from iddm_cli.workflows.training.attach_dataset import align_classes
from iddm_cli.workflows.transferring.class_rows import ClassPlan, order_classes, plan_classes
from iddm_cli.workflows.transferring.trained_source import TrainedSource

if TYPE_CHECKING:
    from iddm_cli.checkpoints.tensors import Tensors
    from iddm_cli.data.packs.pack import Pack
    from iddm_cli.networks.transferring.weight_transfer import ClassMapping
    from iddm_cli.profiles.profile import Profile, ResolvedProfile
    from iddm_cli.value_range import ValueRange

INITIAL_FOLDER = "checkpoints/step-00000000"
"""The checkpoint of step 0, inside a run."""


@dataclass(frozen=True)
class TransferPlan:
    """What a new run takes from a trained model.

    Attributes:
        source: The trained model.
        before: Its profile, whose sampling section names the weights to read.
        profile: The profile of the new run.
        classes: What becomes of each class.
    """

    source: TrainedSource
    before: "ResolvedProfile"
    profile: "ResolvedProfile"
    classes: ClassPlan

    @property
    def mapping(self) -> "ClassMapping":
        """Which classes of the trained model those of the new run are."""
        from iddm_cli.networks.transferring.weight_transfer import ClassMapping

        return ClassMapping(self.classes.rows, self.before.training.label_drop > 0)

    def load_weights(self) -> "Tensors":
        """Return the weights that the new run starts from.

        Raises:
            IddmError: The trained model is no longer there, or is damaged.
        """
        from iddm_cli.build.transferring.initial_weights import load_initial_weights

        source, count = self.source.open_weights(), len(self.source.classes)
        return load_initial_weights(self.before, count, source, self.profile, self.mapping)


def plan_transfer(
    source: TrainedSource, profile: "ResolvedProfile", classes: Sequence[str]
) -> TransferPlan:
    """Plan what a new run takes from a trained model.

    Args:
        source: The trained model.
        profile: The profile of the new run.
        classes: Names of its classes, by label.

    Raises:
        UsageError: A class cannot be renamed, or the channels cannot be carried over.
    """
    before = source.load_profile()
    old, new = before.data.channels, profile.data.channels
    if old != new and 1 not in (old, new):
        raise UsageError(
            f"--from {source.name}: it has {old} channels, and these images have {new}",
            f"Set data.channels: {old}, or 1 for greyscale.",
        )
    plan = plan_classes(source.classes, classes, profile.transfer.rename)
    return TransferPlan(source, before, profile, plan)


def arrange_classes(pack: "Pack", source: TrainedSource, profile: "ResolvedProfile") -> "Pack":
    """Return the dataset of a new run with its classes in the order of their labels.

    Args:
        pack: The dataset.
        source: The trained model that the run starts from.
        profile: The profile of the run.

    Raises:
        UsageError: A class cannot be renamed, or the channels cannot be carried over.
    """
    plan_transfer(source, profile, pack.classes)
    classes = order_classes(source.classes, pack.classes, profile.transfer.rename)
    return align_classes(pack, classes, source.name)


def find_source_values(source: TrainedSource, profile: "Profile") -> "ValueRange | None":
    """Return the range of values of the trained model, if the new run shall have it too.

    Ordinary images of 8 bits need none, and data.value_range may name another one.
    """
    values, data = source.values, profile.data
    if values is None or values.is_8_bit or data.value_range != "auto":
        return None
    return values if data.channels == source.load_profile().data.channels else None


def iter_initial_files(plan: TransferPlan, run: Run, pack: "Pack") -> Iterator[tuple[str, bytes]]:
    """Yield the files of the new run that hold the weights it starts from, by their paths in it.

    They are its checkpoint of step 0, or the base that adapters change, so that it never needs the
    trained model again.

    Args:
        plan: The plan.
        run: The new run.
        pack: Its dataset.

    Raises:
        IddmError: The trained model is no longer there, or is damaged.
    """
    from iddm_cli.build.transferring.adapted_weights import build_base
    from iddm_cli.build.transferring.initial_weights import iter_initial_checkpoint

    weights = plan.load_weights()
    if plan.profile.training.lora_rank:
        content = build_base(run.name, plan.profile, pack.classes, pack.values, weights)
        yield run.base_path.name, content
        return
    for file, content in iter_initial_checkpoint(weights, weights):
        yield f"{INITIAL_FOLDER}/{file}", content


def describe_origin(plan: TransferPlan) -> dict[str, object]:
    """Return the entry of run.json that identifies the trained model.

    Raises:
        IddmError: The trained model is no longer there, or is damaged.
    """
    source = plan.source
    return {
        "run": source.name,
        "path": str(source.path),
        "step": source.step,
        "weights": source.weights,
        "new_labels": [label for label, row in enumerate(plan.classes.rows) if row is None],
        "sha256": source.open_weights().digest(part_of_weights(source.weights)),
    }
