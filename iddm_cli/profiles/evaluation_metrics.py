"""The metrics by which checkpoints are compared: one row each, with the better direction.

Checkpoints record these metrics in state.json and lines of metrics.jsonl hold them, under the
names of this table. To add one, add a row and the name to the `Literal` above the table.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

BestMetricName = Literal[
    "loss", "held_out_loss", "mind", "frechet", "kid", "precision", "recall", "density",
    "coverage", "agreement", "copies",
]  # fmt: skip
HELD_OUT_LOSS, TRAINING_LOSS = "held_out_loss", "training_loss"
"""The loss on held-out and on training images at the same noise and times, in metrics.jsonl."""

MetricSource = Literal["steps", "held_out", "evaluation"]


@dataclass(frozen=True)
class BestMetric:
    """A metric by which checkpoints are compared.

    Attributes:
        source: What computes it: the training steps, the held-out loss, or a full evaluation.
        summary: What it is, for help texts.
        higher_is_better: Whether the best checkpoint has the highest value.
    """

    source: MetricSource
    summary: str
    higher_is_better: bool = False


BEST_METRICS: dict[BestMetricName, BestMetric] = {
    "loss": BestMetric("steps", "mean training loss since the checkpoint before"),
    "held_out_loss": BestMetric("held_out", "denoising loss on held-out images"),
    "mind": BestMetric("evaluation", "mean sliced distance of features"),
    "frechet": BestMetric("evaluation", "Fréchet distance of features"),
    "kid": BestMetric("evaluation", "kernel distance of features"),
    "precision": BestMetric("evaluation", "share of realistic images", higher_is_better=True),
    "recall": BestMetric("evaluation", "share of covered variety", higher_is_better=True),
    "density": BestMetric("evaluation", "realism by neighbours", higher_is_better=True),
    "coverage": BestMetric("evaluation", "real images with a neighbour", higher_is_better=True),
    "agreement": BestMetric("evaluation", "share of right classes", higher_is_better=True),
    "copies": BestMetric("evaluation", "share of copies of training images"),
}


def rank_value(name: str, value: object) -> float:
    """Return a number that is lower where the value of a metric is better; infinite for no number.

    A metric without a row in `BEST_METRICS` counts as better where it is lower.
    """
    if not isinstance(value, int | float) or not math.isfinite(value):
        return math.inf
    rows: Mapping[Any, BestMetric] = BEST_METRICS
    return -value if name in rows and rows[name].higher_is_better else value
