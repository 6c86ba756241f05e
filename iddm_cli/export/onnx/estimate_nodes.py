"""The estimate of a step in ONNX: `diffusion.guidance.build_step_denoiser` in its text format.

Three parts follow each other, each with the names that the next one reads: the networks' estimates
become `guided`, that becomes `rescaled`, and that the `estimate` of the step.
"""

from dataclasses import dataclass

import numpy as np

from iddm_cli.diffusion.thresholding import locate_quantile

SPLIT_BATCH = """
    batch = Shape<start = 0, end = 1>(noise)
    two_batches = Add(batch, batch)
    unguided = Equal(guidance, one)
    halves = Where(unguided, zero, one_int)
    extra = Mul(batch, halves)
    no_labels = Expand(no_label, extra)
    labels = Concat<axis = 0>(label, no_labels)
"""
"""The labels, followed by "no class" for each image; by nothing (extra = 0) if guidance is 1."""

READ_CONDITION = "seen = Concat<axis = 1>(x, condition_channels)\n"
"""What a network that upscales reads: x_t, and the condition channels of smaller images."""

REPEAT_IMAGES = """
    is_guided = Gather(guided_steps, k)
    extra_now = Mul(extra, is_guided)
    repeated = Slice({seen}, zero, extra_now)
    x_t = Concat<axis = 0>({seen}, repeated)
    all_rows = Add(batch, extra_now)
    labels_now = Slice(labels, zero, all_rows)
"""
"""The images, followed by the same images for the unconditional estimate, if the step has one."""

SPLIT_ESTIMATES = """
    twice = Concat<axis = 0>(estimates, estimates)
    plain = Slice(estimates, zero, batch)
    reference = Slice(twice, batch, two_batches)
"""
"""The estimates with and without a label; both are the same at steps without guidance."""

ASK_WEAKER = """
    is_guided = Gather(guided_steps, k)
    steps_left = Cast<to = 9>(is_guided)
    unguided = Equal(guidance, one)
    guides = Not(unguided)
    asks_weaker = And(steps_left, guides)
"""
"""Whether the weaker network is evaluated at this step."""

APPLY_GUIDANCE = """
    difference = Sub(plain, reference)
    scaled = Mul(guidance, difference)
    guided = Add(reference, scaled)
"""

MEASURE_VARIANCE = """
    mean_of_{name} = ReduceMean<keepdims = 1>({name}, image_axes)
    centred_{name} = Sub({name}, mean_of_{name})
    square_of_{name} = Mul(centred_{name}, centred_{name})
    variance_of_{name} = ReduceMean<keepdims = 1>(square_of_{name}, image_axes)
"""

RESCALE = """
    quotient = Div(variance_of_plain, variance_of_guided)
    ratio = Sqrt(quotient)
    has_contrast = Greater(variance_of_guided, nothing)
    safe_ratio = Where(has_contrast, ratio, one)
    share_of_ratio = Mul(rescale, safe_ratio)
    factor = Add(share_of_ratio, rescale_rest)
    rescaled = Mul(guided, factor)
"""
"""`diffusion.guidance.rescale_estimates`."""

APPLY_THRESHOLD = """
    magnitudes = Abs(rescaled)
    rows = Flatten<axis = 1>(magnitudes)
    largest, places = TopK<axis = 1, largest = 1, sorted = 1>(rows, top_count)
    below = Gather<axis = 1>(largest, rank_below)
    above = Gather<axis = 1>(largest, rank_above)
    gap = Sub(above, below)
    part_of_gap = Mul(gap_share, gap)
    quantile = Add(below, part_of_gap)
    limit_rows = Max(quantile, one)
    limit = Reshape(limit_rows, limit_shape)
    negative_limit = Neg(limit)
    not_below = Max(rescaled, negative_limit)
    inside = Min(not_below, limit)
    estimate = Div(inside, limit)
"""
"""`diffusion.thresholding.threshold_images`."""


@dataclass(frozen=True)
class EstimateSpec:
    """How a step makes its estimate.

    Attributes:
        num_classes: Number of classes, K; 0 for an unconditional model.
        has_weaker: Whether a weaker network guides.
        guided_steps: Whether guidance applies at each step.
        guidance: Default guidance scale.
        rescale: Share of rescaled guidance.
        threshold: Share of dynamic thresholding; 0: none.
        clip: Whether estimates are clipped to [-1, 1] without dynamic thresholding.
        has_condition: Whether the network reads condition channels.
    """

    num_classes: int
    guided_steps: tuple[bool, ...]
    guidance: float
    has_weaker: bool = False
    rescale: float = 0.0
    threshold: float = 0.0
    clip: bool = True
    has_condition: bool = False

    @property
    def is_guided(self) -> bool:
        """Whether the pipeline takes a guidance scale."""
        return self.has_weaker or bool(self.num_classes)

    @property
    def repeats_images(self) -> bool:
        """Whether guidance evaluates the network with and without labels."""
        return bool(self.num_classes) and not self.has_weaker

    @property
    def output(self) -> str:
        """The name of what the network returns."""
        if self.repeats_images:
            return "estimates"
        return "plain" if self.has_weaker else "guided"

    def prepare_inputs(self) -> str:
        """Return the nodes before the network."""
        seen, nodes = ("seen", READ_CONDITION) if self.has_condition else ("x", "")
        if self.repeats_images:
            return nodes + REPEAT_IMAGES.format(seen=seen)
        labels = "labels_now = Identity(label)\n" if self.num_classes else ""
        return f"{nodes}x_t = Identity({seen})\n{labels}"

    def select_reference(self) -> str:
        """Return the nodes between the network and the weaker network, if there is one."""
        if self.has_weaker:
            return ASK_WEAKER
        return SPLIT_ESTIMATES if self.repeats_images else ""

    def finish_estimate(self) -> str:
        """Return the nodes from the networks' estimates to that of the step."""
        rescaled = "rescaled = Identity(guided)\n"
        if self.is_guided and self.rescale:
            measures = (MEASURE_VARIANCE.format(name=name) for name in ("plain", "guided"))
            rescaled = "".join([*measures, RESCALE])
        bounds = "estimate = Identity(rescaled)\n"
        if self.threshold:
            bounds = APPLY_THRESHOLD
        elif self.clip:
            bounds = "estimate = Clip(rescaled, minus_one, one)\n"
        return (APPLY_GUIDANCE if self.is_guided else "") + rescaled + bounds

    def list_constants(self, values_in_image: int) -> dict[str, np.ndarray]:
        """Return the constants by name; `guidance` is the default of that input.

        Args:
            values_in_image: C * H * W.
        """
        constants: dict[str, np.ndarray] = {}
        if self.is_guided:
            constants |= {
                "guidance": np.array(self.guidance, np.float32),
                "guided_steps": np.array(self.guided_steps, np.int64),
            }
        if self.repeats_images:
            constants |= {
                "no_label": np.array([self.num_classes]),
                "zero": np.array([0]),
                "one_int": np.array([1]),
            }
        if self.is_guided and self.rescale:
            share = np.float32(self.rescale)
            constants |= {
                "image_axes": np.array([1, 2, 3]),
                "nothing": np.array(0, np.float32),
                "rescale": np.array(share),
                "rescale_rest": np.array(np.float32(1) - share),
            }
        if self.threshold:
            below, above, fraction = locate_quantile(values_in_image, self.threshold)
            constants |= {
                "top_count": np.array([below + 1]),
                "rank_below": np.array([below]),
                "rank_above": np.array([above]),
                "gap_share": np.array(fraction, np.float32),
                "limit_shape": np.array([-1, 1, 1, 1]),
            }
        return constants
