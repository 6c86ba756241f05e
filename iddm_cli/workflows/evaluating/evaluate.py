"""Evaluate a run, an exported file or a folder: real images, generated ones, and every number."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from iddm_cli.data.cache import describe_entry, evaluation_folder, mark_used
from iddm_cli.display.progress import show_progress
from iddm_cli.errors import IddmError, RunError, UsageError
from iddm_cli.workflows import models
from iddm_cli.workflows.evaluating.doubts import list_doubts
from iddm_cli.workflows.evaluating.generated_images import load_generated_images
from iddm_cli.workflows.evaluating.image_folders import find_image_size, load_folder_images
from iddm_cli.workflows.evaluating.real_images import (
    RealImages,
    load_dataset_images,
    load_other_images,
    load_run_images,
)
from iddm_cli.workflows.evaluating.request import DEFAULT_COUNT, EvaluationRequest, SamplingGrid
from iddm_cli.workflows.evaluating.sampling_choices import list_choices, name_choices

if TYPE_CHECKING:
    from iddm_cli.data.progress import ProgressCallback
    from iddm_cli.evaluation.features.extractor import FeatureExtractor
    from iddm_cli.evaluation.image_set import ImageSet
    from iddm_cli.evaluation.results import CanonicalNumbers, Copies, Evaluation, Usefulness


def evaluate(request: EvaluationRequest) -> "list[Evaluation]":
    """Return the evaluation of each way of generating, or of a folder.

    Raises:
        IddmError: What is evaluated or compared with cannot be found or used.
    """
    subject = find_subject(request)
    with show_progress() as progress:
        if isinstance(subject, str):
            return [_evaluate_folder(subject, request, progress)]
        return _evaluate_model(subject, request, progress)


def find_subject(request: EvaluationRequest) -> "models.RunModel | models.FileModel | str":
    """Return the model that is evaluated, or the path of a folder of images.

    Raises:
        RunError: There is no such run.
        UsageError: It is a folder, and no dataset to compare with is given.
    """
    from iddm_cli.data.sources.source import find_existing

    try:
        return models.find_model(request.runs_dir, request.subject)
    except RunError:
        path = find_existing(request.subject or "")
        if request.subject is None or path is None or (path / "run.json").exists():
            raise
    if request.against is None:
        raise UsageError(
            f"{request.subject} is not a run, and a folder of images needs real ones to compare "
            "with",
            f"Name them: iddm evaluate {request.subject} --against DATASET",
        )
    if request.grid != SamplingGrid():
        raise UsageError(
            f"{request.subject} is a folder of images, so there is nothing to sample",
            "Leave out --sampler, --steps, --guidance, --checkpoint and --weights.",
        )
    return request.subject


def _evaluate_folder(
    folder: str, request: EvaluationRequest, progress: "ProgressCallback"
) -> "Evaluation":
    assert request.against is not None, "find_subject has checked it"
    size, note = (request.image_size, "") if request.image_size else find_image_size(folder)
    real = load_dataset_images(request.against, size or 32, progress)
    generated, real = load_folder_images(folder, real, most=request.count, progress=progress)
    if note:
        real = replace(real, warnings=(note, *real.warnings))
    measuring = _Measuring(real, request, progress)
    return measuring.evaluate(generated, title=Path(folder).name or folder, settings={})


def _evaluate_model(
    model: "models.RunModel | models.FileModel",
    request: EvaluationRequest,
    progress: "ProgressCallback",
) -> "list[Evaluation]":
    if request.image_size is not None:
        raise UsageError(
            "--image-size: a run has a size of its own", "Leave it out, or evaluate a folder."
        )
    choices = list_choices(model, request)
    if request.against is None:
        real = load_run_images(model, progress)
    else:
        real = load_other_images(model, request.against, progress)
    measuring = _Measuring(real, request, progress)
    counts = real.class_counts() if model.classes else [len(real.real)]
    if model.classes and real.real.labels is None:
        counts = [1] * len(model.classes)
    evaluations = []
    for choice, title in zip(choices, name_choices(choices), strict=True):
        generated = load_generated_images(
            model,
            choice,
            counts,
            request.count or DEFAULT_COUNT,
            seed=request.seed,
            name=f"generated images of {model.name}",
            progress=progress,
        )
        settings = {"run": model.name, **choice.describe(), "seed": request.seed}
        evaluations.append(measuring.evaluate(generated, title=title, settings=settings))
    return evaluations


class _Measuring:
    """Measures sets of generated images with one feature network."""

    def __init__(
        self, real: RealImages, request: EvaluationRequest, progress: "ProgressCallback"
    ) -> None:
        from iddm_cli.evaluation.features.extractor import load_or_train

        self.real = real
        self.request = request
        self.progress = progress
        folder = _own_folder("features", real)
        self.extractor: FeatureExtractor = load_or_train(
            real.training, real.real, folder=folder, progress=progress
        )
        mark_used(folder)

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
        warnings = [*real.warnings, *list_doubts(real.real, generated, self.extractor.summary)]
        canonical = self._measure_canonical(generated, warnings) if request.canonical else None
        usefulness = self._measure_usefulness(generated, copies) if request.usefulness else None
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

    def _measure_usefulness(self, generated: "ImageSet", copies: "Copies | None") -> "Usefulness":
        from iddm_cli.evaluation.usefulness import filter_generated, measure_usefulness

        left_out: dict[str, int] = {}
        if self.request.filtered:
            is_copy = copies.is_copy if copies else None
            kept, left_out = filter_generated(generated, self.extractor, is_copy)
            generated = generated.select(kept)
        return measure_usefulness(
            self.real.training,
            self.real.real,
            generated,
            real_per_class=self.request.real_per_class,
            folder=_own_folder("classifiers", self.real),
            left_out=left_out,
            progress=self.progress,
        )


def _own_folder(room: Literal["features", "classifiers"], real: RealImages) -> Path:
    """Return the folder of the cache for results of these training images."""
    folder = evaluation_folder(room) / real.training.digest
    describe_entry(folder, real.training.name)
    return folder


def _check_usable(real: RealImages, generated: "ImageSet") -> None:
    """Check that classifiers can be trained, before anything long begins.

    Raises:
        DatasetError: The images have no classes.
    """
    from iddm_cli.evaluation.usefulness.measurement import check_images

    check_images(real.training, real.real, generated)
