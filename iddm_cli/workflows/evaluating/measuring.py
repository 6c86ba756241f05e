"""Measure sets of generated images: every number that was asked for, with one feature network."""

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from iddm_cli.data.cache import describe_entry
from iddm_cli.errors import DatasetError, IddmError
from iddm_cli.workflows.evaluating.doubts import list_doubts
from iddm_cli.workflows.evaluating.real_images import RealImages
from iddm_cli.workflows.evaluating.request import EvaluationRequest

if TYPE_CHECKING:
    from iddm_cli.data.progress import ProgressCallback
    from iddm_cli.evaluation.features.extractor import FeatureExtractor
    from iddm_cli.evaluation.image_set import ImageSet
    from iddm_cli.evaluation.results import CanonicalNumbers, Copies, Evaluation, Usefulness


class Measuring:
    """Measures sets of generated images with one feature network."""

    def __init__(
        self, real: RealImages, request: EvaluationRequest, progress: "ProgressCallback"
    ) -> None:
        from iddm_cli.evaluation.features.shared_extractor import load_extractor

        self.real = real
        self.request = request
        self.progress = progress
        if request.usefulness:
            _check_usable(real, real.real)
        self.extractor: FeatureExtractor = load_extractor(
            real.training, real.network_test, progress=progress
        )

    def evaluate(
        self, generated: "ImageSet", *, title: str, settings: dict[str, object]
    ) -> "Evaluation":
        """Return everything that was asked for about some generated images."""
        from iddm_cli.evaluation.quality import measure_quality
        from iddm_cli.evaluation.results import Evaluation

        real, request = self.real, self.request
        if request.usefulness:
            _check_usable(real, generated)
        quality = measure_quality(real.real, generated, self.extractor, progress=self.progress)
        copies = self._find_copies(generated) if request.copies else None
        doubts = list_doubts(real.real, generated, self.extractor.summary)
        warnings = [*real.warnings, *quality.warnings, *doubts]
        canonical = self._measure_canonical(generated, warnings) if request.canonical else None
        usefulness = None
        if request.usefulness:
            usefulness = self._measure_usefulness(generated, copies, warnings)
        return Evaluation(
            title=title,
            settings=settings,
            generated=generated,
            real=real.real,
            training=real.model_training,
            features=self.extractor.summary,
            quality=quality,
            copies=copies,
            canonical=canonical,
            usefulness=usefulness,
            warnings=tuple(warnings),
        )

    def _find_copies(self, generated: "ImageSet") -> "Copies":
        import torch

        from iddm_cli.evaluation.copies import find_copies

        real = self.real
        unseen = real.real if real.unseen else real.real.select(torch.arange(0))
        copies = find_copies(
            generated, real.model_training, unseen, self.extractor, progress=self.progress
        )
        if real.unseen:
            return copies
        # Without unseen images there is nothing that the rate could be compared with.
        in_pixels, in_features = (
            replace(rate, floor=None) for rate in (copies.in_pixels, copies.in_features)
        )
        return replace(copies, in_pixels=in_pixels, in_features=in_features)

    def _measure_canonical(
        self, generated: "ImageSet", warnings: list[str]
    ) -> "CanonicalNumbers | None":
        """Return the numbers of papers; where they cannot be had, the reason is a warning."""
        from iddm_cli.evaluation.canonical import measure_canonical

        weights = self.request.inception_weights
        try:
            return measure_canonical(
                self.real.real, generated, weights=weights, progress=self.progress
            )
        except IddmError as error:
            warnings.append(f"no canonical numbers: {error.problem}. {error.hint}".strip())
            return None

    def _measure_usefulness(
        self, generated: "ImageSet", copies: "Copies | None", warnings: list[str]
    ) -> "Usefulness | None":
        """Return whether the images help; where the filter leaves none, that is a warning."""
        from iddm_cli.evaluation.usefulness import filter_generated, measure_usefulness

        left_out: dict[str, int] = {}
        if self.request.filtered:
            is_copy = copies.is_copy if copies else None
            kept, left_out = filter_generated(generated, self.extractor, is_copy)
            generated = generated.select(kept)
            try:
                _check_usable(self.real, generated)
            except DatasetError:
                warnings.append(_describe_empty(left_out))
                return None
        training = self.real.training
        return measure_usefulness(
            training,
            self.real.real,
            generated,
            real_per_class=self.request.real_per_class,
            folder=describe_entry("classifiers", training.digest, training.name),
            left_out=left_out,
            progress=self.progress,
        )


def _describe_empty(left_out: Mapping[str, int]) -> str:
    """Return that the filter leaves no image to train on, and why."""
    reasons = "; ".join(f"{count:,}: {reason}" for reason, count in left_out.items())
    return (
        f"usefulness was not measured, since --filter leaves no image to train on ({reasons}): "
        "leave out --filter to train on all of them"
    )


def _check_usable(real: RealImages, generated: "ImageSet") -> None:
    """Check that classifiers can be trained, before anything long begins.

    Args:
        real: The real images.
        generated: The generated images; real ones while there are none.

    Raises:
        DatasetError: The images have no classes, or there are none of a class to train on.
    """
    from iddm_cli.evaluation.usefulness.checks import check_images

    check_images(real.training, real.real, generated)
