"""The plan of the held-out loss: on how many images it is computed, and how often.

Cost is counted in forward passes of one image. A training image counts 3: its forward pass, and a
backward pass that computes two gradients, of the activations and of the weights.
"""

import math
from dataclasses import dataclass

BANDS = 4
"""Equal parts of the diffusion time [0, 1), from the least to the most noise."""

LEAST_IMAGES, MOST_IMAGES = 8, 256
"""Images of each set: fewer say little, more only take time."""

EVALUATIONS = 20
"""How many points the curve has where the cost allows it."""

COST_SHARE = 0.01
"""Share of the cost of training that the held-out loss may take."""

TRAINING_PASSES = 3
"""Forward passes that a training image costs."""


@dataclass(frozen=True)
class LossPlan:
    """When and on what the held-out loss is computed.

    Attributes:
        images: Number of held-out images, and of training images.
        every: Steps between two evaluations; the last step has one as well.
        bands: Parts of the diffusion time in which each image is evaluated.
    """

    images: int
    every: int
    bands: int = BANDS

    def is_due(self, step: int, total_steps: int) -> bool:
        """Return whether the loss is computed after so many updates."""
        return step % self.every == 0 or step == total_steps

    def count_evaluations(self, total_steps: int) -> int:
        """Return the number of evaluations of a whole training."""
        return math.ceil(total_steps / self.every)

    def cost(self, total_steps: int) -> int:
        """Return the cost of all evaluations, in forward passes of one image."""
        return self.count_evaluations(total_steps) * evaluation_cost(self.images, self.bands)


def evaluation_cost(images: int, bands: int) -> int:
    """Return the cost of one evaluation: each image of both sets, once in each band."""
    return 2 * bands * images


def plan_loss(
    total_steps: int,
    batch_size: int,
    available: int,
    *,
    every: int | None = None,
    images: int | None = None,
    bands: int = BANDS,
) -> LossPlan | None:
    """Plan the held-out loss of a training; without `every` it costs at most COST_SHARE of it.

    Aims at EVALUATIONS evaluations. Where even LEAST_IMAGES images are too many for them, there
    are fewer evaluations, down to one after the last step.

    Args:
        total_steps: Updates of the whole training.
        batch_size: Images of an update.
        available: Number of held-out images, or of training images if those are fewer.
        every: Steps between two evaluations, as the user chose them, whatever they cost.
        images: Number of images that earlier evaluations of the run had: values on other images
            could not be compared. None: there are none.
        bands: Parts of the diffusion time in which each image is evaluated.

    Returns:
        The plan; None where not even one evaluation is within the cost, or there are no images.
    """
    if available == 0 or total_steps == 0:
        return None
    budget = int(COST_SHARE * TRAINING_PASSES * batch_size * total_steps)
    least, most = min(LEAST_IMAGES, available), min(MOST_IMAGES, available)
    wanted = min(EVALUATIONS if every is None else math.ceil(total_steps / every), total_steps)
    if images is None:
        images = min(max(budget // evaluation_cost(wanted, bands), least), most)
    if every is not None:
        return LossPlan(images, every, bands)
    count = min(wanted, budget // evaluation_cost(images, bands))
    return LossPlan(images, math.ceil(total_steps / count), bands) if count else None
