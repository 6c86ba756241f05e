"""Verification of an ONNX file: its images in onnxruntime against those of PyTorch."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch

from iddm_cli.engine import randomness
from iddm_cli.engine.image_generator import ImageGenerator, SampleSpec, to_pixels
from iddm_cli.engine.sampling.crop_places import CropPlaces
from iddm_cli.engine.sampling.enlargement import PURPOSE as LOW_NOISE
from iddm_cli.engine.sampling.low_resolution_batch import LowResolutionBatch
from iddm_cli.engine.sampling.sample_noise import PURPOSE
from iddm_cli.engine.sampling.upscaler import Upscaler
from iddm_cli.errors import IddmError
from iddm_cli.export.onnx.options import OnnxOptions
from iddm_cli.export.trained_model import TrainedModel

SEED = 0
MIN_WITHIN_ONE = 0.999
"""Smallest share of pixels within one of 255 levels, for a float32 file."""


@dataclass(frozen=True)
class Agreement:
    """The difference between two batches of images, in levels of 255.

    Attributes:
        within_one: Share of the values that differ by at most one level.
        mean: Mean absolute difference.
        largest: Largest absolute difference.
    """

    within_one: float
    mean: float
    largest: float

    def __str__(self) -> str:
        share = f"{100 * self.within_one:.4g} % of pixels within 1/255 of PyTorch's"
        return f"{share}, mean difference {self.mean:.3g}, largest {self.largest:.3g}"


def check_onnx_model(
    model: TrainedModel, proto: onnx.ModelProto, options: OnnxOptions
) -> Agreement:
    """Check that a file is valid ONNX and that its images are those of PyTorch.

    Raises:
        IddmError: It is not valid, onnxruntime cannot run it, or its images differ.
    """
    try:
        onnx.checker.check_model(proto, full_check=True)
        session = open_session(proto.SerializeToString())
        agreement = COMPARISONS[options.part](model, session)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise IddmError(f"the exported graph is not valid ONNX: {error}") from error
    except onnxruntime.capi.onnxruntime_pybind11_state.OrtException as error:
        raise IddmError(
            f"onnxruntime {onnxruntime.__version__} cannot run the exported graph: {error}",
            "Try another --opset.",
        ) from error
    if options.precision == "fp32" and agreement.within_one < MIN_WITHIN_ONE:
        raise IddmError(
            f"onnxruntime generates other images than PyTorch: {agreement}",
            "Nothing was written. Try another --opset.",
        )
    return agreement


def open_session(content: bytes) -> onnxruntime.InferenceSession:
    """Load a file into onnxruntime on the CPU, logging errors only."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])


def encode_seed(seed: int, purpose: str = PURPOSE) -> np.ndarray:
    """Return the value of the input `seed` that gives the noise of `iddm generate --seed`.

    Args:
        seed: The seed.
        purpose: Of the noise that sampling starts from; that of an upscaler is another one.
    """
    low, high = randomness.key_of(seed, f"{purpose}-step")
    return np.array(low | high << 32, np.uint64).astype(np.int64)


def build_inputs(
    session: onnxruntime.InferenceSession,
    model: TrainedModel,
    specs: list[SampleSpec],
    *,
    seed: int,
    guidance: float | None = None,
    low: np.ndarray | None = None,
    noise_level: float = 0.0,
) -> dict[str, Any]:
    """Return the inputs for which a pipeline makes the images of `ImageGenerator` or `Upscaler`.

    Args:
        session: The loaded file.
        model: The model.
        specs: The images.
        seed: Random seed of iddm generate, or iddm upscale.
        guidance: Guidance scale; None: the profile's.
        low: The images that are upscaled, [N, h, w, C], in the model's units.
        noise_level: Level of the noise that they get first.
    """
    index = torch.tensor([spec.index for spec in specs])
    purpose = PURPOSE if low is None else LowResolutionBatch.purpose
    noise = randomness.normal(seed, purpose, items=index, step=0, shape=model.diffused_shape)
    scale = model.profile.sampling.guidance if guidance is None else guidance
    inputs = {
        "noise": noise.numpy(),
        "label": np.array([spec.label for spec in specs]),
        "guidance": np.array(scale, np.float32),
        "index": index.numpy(),
        "seed": encode_seed(seed, purpose),
    }
    if model.whole_size is not None:
        size, places = (model.shape[1], model.shape[2]), CropPlaces(model.whole_size)
        inputs["corner"] = places.choose_corners(index.tolist(), seed, size).float().numpy()
    if low is not None and model.low_shape is not None:
        inputs |= {"low_resolution": low, "noise_level": np.array(noise_level, np.float32)}
        inputs["low_noise"] = randomness.normal(
            seed, LOW_NOISE, items=index, step=0, shape=model.low_shape
        ).numpy()
    values = (*session.get_inputs(), *session.get_overridable_initializers())
    return {value.name: inputs[value.name] for value in values}


def compare_images(model: TrainedModel, session: onnxruntime.InferenceSession) -> Agreement:
    """Generate two images, of the first and of the last class, with both programs."""
    last = max(0, len(model.classes) - 1)
    specs = [SampleSpec(0, 0), SampleSpec(last, 1)]
    generator = build_generator(model)
    if model.low_shape is None:
        low = None
        expected = generator.generate_batch(specs, SEED)
    else:
        levels = _make_small_images(model, model.low_shape)
        low = model.values.to_values(levels.permute(0, 2, 3, 1).numpy())
        factor = model.profile.model.upscale_factor
        unit = levels / (model.values.levels / 2) - 1
        expected = Upscaler(generator, factor, 0.0).upscale_values(unit, specs, seed=SEED)
    (actual,) = session.run(None, build_inputs(session, model, specs, seed=SEED, low=low))
    return _compare_pixels(model, actual, expected)


def build_generator(model: TrainedModel) -> ImageGenerator:
    """Return what generates the images of a model in PyTorch."""
    return ImageGenerator(
        model.denoiser,
        model.profile.sampling,
        num_classes=len(model.classes),
        shape=model.diffused_shape,
        levels=model.values.levels,
        weaker=model.weaker,
        tables=model.tables,
        decoder=model.decoder,
        places=None if model.whole_size is None else CropPlaces(model.whole_size),
    )


def _make_small_images(model: TrainedModel, shape: tuple[int, int, int]) -> torch.Tensor:
    """Return two images to upscale, the levels of noise, [2, C, h, w]."""
    noise = randomness.normal(SEED, "check", items=torch.arange(2), step=0, shape=shape)
    return to_pixels(noise / 2, model.values.levels)


def compare_decoded(model: TrainedModel, session: onnxruntime.InferenceSession) -> Agreement:
    """Decode two latents with both programs."""
    assert model.decoder is not None, "checked before it was traced"
    latents = randomness.normal(
        SEED, "sample", items=torch.arange(2), step=0, shape=model.diffused_shape
    )
    (actual,) = session.run(None, {"latents": latents.numpy()})
    decoded = to_pixels(model.decoder.decode(latents), model.values.levels)
    return _compare_pixels(model, actual, decoded.permute(0, 2, 3, 1))


def _compare_pixels(model: TrainedModel, actual: np.ndarray, expected: torch.Tensor) -> Agreement:
    """Return the difference between values in a model's units and levels, both [N, H, W, C]."""
    wanted = model.values.to_values(expected.numpy())
    if model.values.is_8_bit:
        return measure_agreement(actual.astype(np.float64), wanted.astype(np.float64))
    units = (model.values.to_unit(values) for values in (actual, wanted))
    return measure_agreement(*(255 * unit for unit in units))


def compare_estimates(model: TrainedModel, session: onnxruntime.InferenceSession) -> Agreement:
    """Estimate x at the first, the middle and the last time with both programs."""
    schedule = model.denoiser.schedule
    t = torch.tensor([0, len(schedule) // 2, len(schedule) - 1])
    x_t = randomness.normal(SEED, "sample", items=t, step=0, shape=model.input_shape)
    label = t % (len(model.classes) + 1)
    inputs = {"x_t": x_t.numpy(), "t": t.numpy(), "label": label.numpy()}
    (actual,) = session.run(
        None, {value.name: inputs[value.name] for value in session.get_inputs()}
    )
    with torch.inference_mode():
        expected = model.denoiser(x_t, t, label)
    return measure_agreement(*(_to_levels(model, x) for x in (torch.from_numpy(actual), expected)))


def _to_levels(model: TrainedModel, x: torch.Tensor) -> np.ndarray:
    """Return estimates of x, images or latents, in 255 levels of the range that they lie in."""
    bounded = x.clamp(-1, 1) if model.decoder is None else model.decoder.unscale(x)
    return 127.5 * bounded.numpy()


COMPARISONS = {
    "pipeline": compare_images,
    "denoiser": compare_estimates,
    "decoder": compare_decoded,
}
"""How the file of each part is compared with the model."""


def measure_agreement(actual: np.ndarray, expected: np.ndarray) -> Agreement:
    """Return the difference between two arrays of values in levels of 255."""
    difference = np.abs(actual - expected)
    return Agreement(
        float((difference <= 1).mean()), float(difference.mean()), float(difference.max())
    )
