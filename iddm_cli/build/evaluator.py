"""The evaluator of a training: generates images with the EMA weights, and measures them."""

from dataclasses import dataclass

import torch
from torch import Tensor

from iddm_cli.build.image_sets import RunImages, load_run_images
from iddm_cli.build.latents.reconstructions import ReconstructionEvaluator
from iddm_cli.build.models import build_training_generator
from iddm_cli.data.loader.stores import pixel_dtype
from iddm_cli.data.packs.pack import Pack
from iddm_cli.data.progress import ProgressCallback, no_progress
from iddm_cli.diffusion.denoiser import Denoiser
from iddm_cli.distributed.group import ProcessGroup
from iddm_cli.engine.image_generator import SampleSpec, specify_with_own_noise
from iddm_cli.engine.monitoring.evaluations import Evaluate
from iddm_cli.engine.sampling.latent_decoder import LatentDecoder
from iddm_cli.evaluation.copies import find_copies
from iddm_cli.evaluation.features.extractor import FeatureExtractor
from iddm_cli.evaluation.features.shared_extractor import load_extractor
from iddm_cli.evaluation.image_set import ImageSet
from iddm_cli.evaluation.label_plan import index_within_classes, plan_labels
from iddm_cli.evaluation.quality import measure_quality
from iddm_cli.profiles.profile import ResolvedProfile

SEED = 0
"""Every evaluation starts from the same noise, so that steps and runs can be compared."""


@dataclass(frozen=True)
class _Reference:
    """What generated images are measured with; the main process alone has it."""

    images: RunImages
    extractor: FeatureExtractor


class Evaluator:
    """Evaluates a denoiser during its training.

    Args:
        profile: The profile.
        pack: The dataset, without random crops.
        group: The processes that train together.
        reference: What images are measured with; None in every process but the main one.
        decoder: The decoder of latents; None: the network generates pixels.
    """

    def __init__(
        self,
        profile: ResolvedProfile,
        pack: Pack,
        group: ProcessGroup,
        reference: _Reference | None,
        decoder: LatentDecoder | None = None,
    ) -> None:
        self.profile = profile
        self.pack = pack
        self.group = group
        self.reference = reference
        self.decoder = decoder

    def __call__(self, ema: Denoiser, step: int) -> dict[str, float]:  # noqa: ARG002
        """Return the numbers by name, see BEST_METRICS; only the main process gets them.

        Collective: every process must call it, and generates its share of the images.
        """
        generated = self._generate(ema)
        if generated is None or self.reference is None:
            return {}
        images, extractor = self.reference.images, self.reference.extractor
        quality = measure_quality(
            images.real, generated, extractor, intervals=False, per_class=False
        )
        nothing = images.real.select(torch.arange(0))  # the rate of real images is not needed
        copies = find_copies(generated, images.model_training, nothing, extractor)
        values = {key: number.value for key, number in quality.numbers.items()}
        return {**values, "copies": copies.in_pixels.value}

    def _generate(self, ema: Denoiser) -> ImageSet | None:
        """Generate the images, each process its share; the main process returns them."""
        profile, pack = self.profile, self.pack
        counts = (pack.held_out or pack).class_counts() if pack.classes else [pack.count]
        labels = plan_labels(counts, profile.evaluation.count)
        indices = index_within_classes(labels)
        specify = specify_with_own_noise if pack.classes else SampleSpec
        specs = [specify(label, i) for label, i in zip(labels, indices, strict=True)]
        generator = build_training_generator(
            ema,
            profile,
            len(pack.classes),
            images=len(specs),
            group=self.group,
            levels=pack.values.levels,
            decoder=self.decoder,
        )
        samples = generator.generate(
            self.group.shard_items(specs), seed=SEED, batch_size=profile.sampling.batch_size
        )
        pixels = self.group.gather_items([sample.pixels for sample in samples], len(specs))
        if not self.group.is_main:
            return None
        return ImageSet(
            name="generated images",
            pixels=_to_levels(torch.stack(pixels), pixel_dtype(pack.values)),
            labels=torch.tensor(labels) if pack.classes else None,
            classes=pack.classes,
        )


def _to_levels(pixels: Tensor, dtype: torch.dtype) -> Tensor:
    """Return samples, [N, H, W, C], as the levels of an image set, [N, C, H, W]."""
    return pixels.permute(0, 3, 1, 2).contiguous().to(dtype)


def build_evaluator(
    profile: ResolvedProfile,
    pack: Pack | None,
    group: ProcessGroup,
    decoder: LatentDecoder | None = None,
) -> Evaluate | None:
    """Build the evaluator of a training; None where there is nothing to compare with.

    The feature network should be in the cache by then, see `prepare_features`: while the main
    process trains it, the others wait.

    Args:
        profile: The profile.
        pack: The dataset, without random crops; None where evaluation.every is 0.
        group: The processes that train together.
        decoder: The decoder of latents; None: the network generates pixels.

    Raises:
        DatasetError: The images cannot be read.
    """
    if pack is None:
        return None
    data = profile.data.model_copy(update={"random_crop": 1.0})
    profile = profile.model_copy(update={"data": data})
    if profile.model.is_autoencoder:
        return ReconstructionEvaluator(profile, pack, group)
    reference = _build_reference(profile, pack) if group.is_main else None
    return Evaluator(profile, pack, group, reference, decoder)


def prepare_features(
    profile: ResolvedProfile, pack: Pack, *, progress: ProgressCallback = no_progress
) -> None:
    """Train the feature network of a dataset, before the processes of a training meet.

    Of several processes on a machine one trains it, and the others wait for that.

    Raises:
        DatasetError: The images cannot be read.
    """
    _build_reference(profile, pack, progress)


def _build_reference(
    profile: ResolvedProfile, pack: Pack, progress: ProgressCallback = no_progress
) -> _Reference:
    images = load_run_images(profile, pack, run_name="the run", progress=progress)
    with torch.random.fork_rng(devices=[]):
        extractor = load_extractor(images.training, images.real, progress=progress)
    return _Reference(images, extractor)
