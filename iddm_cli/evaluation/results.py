"""Results of an evaluation, as plain data: what tables, JSON and the HTML page show."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from torch import Tensor

from iddm_cli.evaluation.image_set import ImageSet
from iddm_cli.evaluation.numbers import Number
from iddm_cli.evaluation.pair_fidelity import Fidelity

Verdict = Literal["helps", "does not help", "cannot tell"]


@dataclass(frozen=True)
class FeatureSummary:
    """What the feature network is, and how far it can be trusted.

    Attributes:
        task: What it was trained to tell: "classes" or "rotations".
        accuracy: Share of right answers on images that it was not trained on, the mean over
            classes; nan without any.
        chance: Accuracy of guessing.
        trained_on: Number of images that it was trained on.
        tested_on: Number of images of the accuracy.
    """

    task: Literal["classes", "rotations"]
    accuracy: float
    chance: float
    trained_on: int
    tested_on: int


@dataclass(frozen=True)
class ClassQuality:
    """The numbers of one class.

    Attributes:
        name: Name of the class.
        real: Number of real images compared with.
        generated: Number of generated images.
        numbers: By key of QUALITY_METRICS; those that need more images than there are are absent.
    """

    name: str
    real: int
    generated: int
    numbers: Mapping[str, Number]


@dataclass(frozen=True)
class Quality:
    """How close generated images are to real ones.

    Attributes:
        numbers: By key of QUALITY_METRICS: mind, frechet, kid, precision, recall, density,
            coverage and, with classes, agreement.
        classes: The numbers of each class; empty without classes.
        confusion: Number of generated images by class asked for (row) and class that the feature
            network sees (column), int64 [K, K]; None without classes.
        warnings: What to know before the numbers are trusted.
    """

    numbers: Mapping[str, Number]
    classes: tuple[ClassQuality, ...] = ()
    confusion: Tensor | None = None
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class ClosePair:
    """A generated image and the training image that is nearest to it.

    Attributes:
        generated: Index of the generated image.
        training: Index of the training image.
        ratio: Distance to it over the distance to the second-nearest, in [0, 1].
        is_copy: Whether it counts as a copy.
    """

    generated: int
    training: int
    ratio: float
    is_copy: bool


@dataclass(frozen=True)
class Copies:
    """How many generated images are copies of training images.

    Attributes:
        in_pixels: Rate of copies by pixels; `floor` is the rate of held-out real images.
        in_features: Rate of copies by features; likewise.
        closest: The pairs most alike, the closest first.
        is_copy: Whether each generated image is a copy by pixels, bool [N].
    """

    in_pixels: Number
    in_features: Number
    closest: tuple[ClosePair, ...]
    is_copy: Tensor


@dataclass(frozen=True)
class CanonicalNumbers:
    """Numbers in the features of Inception, as papers report them.

    Attributes:
        numbers: By name: fid, kid, inception_score, precision, recall.
        description: Counts and resizing, in a sentence.
        warnings: What to know before quoting them.
    """

    numbers: Mapping[str, Number]
    description: str
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class ArmSummary:
    """One way to compose a training set, and what classifiers trained on it achieved.

    Attributes:
        name: What the report calls it.
        real: Number of real images in it, repetitions included.
        generated: Number of generated images in it.
        accuracy: Mean accuracy over seeds on held-out real images, with a 95 % interval.
        by_seed: Accuracy of each seed.
    """

    name: str
    real: int
    generated: int
    accuracy: Number
    by_seed: tuple[float, ...]


@dataclass(frozen=True)
class Usefulness:
    """Whether generated images help to train a classifier.

    Attributes:
        arms: All arms, in order.
        best_without: Name of the arm without generated images that is best over all seeds and test
            images.
        best_with: Name of the arm with generated images that is best over all of them.
        gain: Gain in accuracy by generated images, with a 95 % interval over seeds and test images.
            The best arm of several is too good by chance, so this is not the difference of the two
            accuracies: both arms are chosen by other seeds and images than they are compared on.
        verdict: What follows.
        left_out: Number of generated images left out, by reason (--filter).
        real_per_class: Number of real images of each class that are trained on, at most.
        real_available: Number of real images of the largest class.
        tested_on: Number of held-out images.
        seeds: Number of seeds.
    """

    arms: tuple[ArmSummary, ...]
    best_without: str
    best_with: str
    gain: Number
    verdict: Verdict
    left_out: Mapping[str, int] = field(default_factory=dict)
    real_per_class: int = 0
    real_available: int = 0
    tested_on: int = 0
    seeds: int = 0

    @property
    def is_limited(self) -> bool:
        """Whether real images were left out (--real-per-class)."""
        return self.real_per_class < self.real_available


@dataclass(frozen=True)
class Evaluation:
    """Everything that is known about one set of generated images.

    Attributes:
        title: What tells it from other evaluations of the same call: "dpmpp-2m, 20 steps", or the
            name of a folder.
        settings: How the images were generated: run, step, weights, sampler, steps, guidance, eta,
            seed; empty for a folder.
        generated: The generated images.
        real: The real images compared with, which neither the model nor the feature network was
            trained on.
        training: The real images that it was trained on; of a folder, those that the feature
            network was trained on.
        features: The feature network.
        quality: Distances, rates and class agreement.
        copies: Copies of training images; None if it was not asked for.
        canonical: Numbers in the features of Inception; None without.
        usefulness: Whether the images help a classifier; None if it was not asked for.
        fidelity: How close the images are to references of the same names; None without.
        warnings: What to know before the numbers are trusted, as sentences.
    """

    title: str
    settings: Mapping[str, object]
    generated: ImageSet
    real: ImageSet
    training: ImageSet
    features: FeatureSummary
    quality: Quality
    copies: Copies | None = None
    canonical: CanonicalNumbers | None = None
    usefulness: Usefulness | None = None
    fidelity: Fidelity | None = None
    warnings: tuple[str, ...] = ()

    def to_json(self) -> dict[str, object]:
        """Return the numbers as --json prints them.

        The keys mind, frechet, kid, precision, recall, density, coverage, agreement and copies each
        hold an object with `value` and, where they apply, `floor`, `low`, `high` and `count`.
        """
        content: dict[str, object] = {"title": self.title, "settings": dict(self.settings)}
        content |= {key: number.to_json() for key, number in self.quality.numbers.items()}
        content["features"] = {
            "task": self.features.task,
            "accuracy": Number(self.features.accuracy).to_json()["value"],
            "chance": self.features.chance,
        }
        content["counts"] = {
            "generated": len(self.generated), "real": len(self.real), "training": len(self.training)
        }  # fmt: skip
        content["classes"] = {
            one.name: {
                "counts": {"real": one.real, "generated": one.generated},
                **{key: number.to_json() for key, number in one.numbers.items()},
            }
            for one in self.quality.classes
        }
        if self.quality.confusion is not None:
            content["confusion"] = self.quality.confusion.tolist()
        if self.copies is not None:
            content["copies"] = self.copies.in_pixels.to_json()
            content["copies_in_features"] = self.copies.in_features.to_json()
        if self.canonical is not None:
            numbers = self.canonical.numbers
            content["canonical"] = {
                **{key: number.to_json() for key, number in numbers.items()},
                "description": self.canonical.description,
                "warnings": list(self.canonical.warnings),
            }
        if self.usefulness is not None:
            content["usefulness"] = _usefulness_to_json(self.usefulness)
        if self.fidelity is not None:
            content |= self.fidelity.to_json()
        content["warnings"] = list(self.warnings)
        return content


@dataclass(frozen=True)
class EvaluationSeries:
    """The evaluations of one call.

    Attributes:
        finished: The results, at least one.
        missing: Titles of those that Ctrl-C or an error prevented.
        stopped_by: What prevented them: KeyboardInterrupt, or the error.
    """

    finished: tuple[Evaluation, ...]
    missing: tuple[str, ...] = ()
    stopped_by: BaseException | None = None

    @property
    def has_several(self) -> bool:
        """Whether several were asked for."""
        return len(self.finished) + len(self.missing) > 1

    def to_json(self) -> dict[str, object]:
        """Return the document of --json: one evaluation, or a list of several."""
        if not self.has_several:
            return self.finished[0].to_json()
        content: dict[str, object] = {"evaluations": [one.to_json() for one in self.finished]}
        if self.missing:
            content |= {"interrupted": True, "missing": list(self.missing)}
        return content


def _usefulness_to_json(usefulness: Usefulness) -> dict[str, object]:
    return {
        "verdict": usefulness.verdict,
        "gain": usefulness.gain.to_json(),
        "best_with": usefulness.best_with,
        "best_without": usefulness.best_without,
        "real_per_class": usefulness.real_per_class,
        "real_available": usefulness.real_available,
        "tested_on": usefulness.tested_on,
        "seeds": usefulness.seeds,
        "left_out": dict(usefulness.left_out),
        "arms": [
            {
                "name": arm.name,
                "real": arm.real,
                "generated": arm.generated,
                "accuracy": arm.accuracy.to_json(),
                "by_seed": list(arm.by_seed),
            }
            for arm in usefulness.arms
        ],
    }
