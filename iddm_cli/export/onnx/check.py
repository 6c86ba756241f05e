"""What onnxruntime makes of a file, beside what PyTorch makes of the model it came from."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch

from iddm_cli.engine import randomness
from iddm_cli.engine.image_generator import ImageGenerator, SampleSpec
from iddm_cli.errors import IddmError
from iddm_cli.export.onnx.model_proto import OnnxOptions
from iddm_cli.export.trained_model import TrainedModel

SEED = 0
ENOUGH = 0.999
"""Share of the pixels that must be within one of 255 levels, in float32."""


@dataclass(frozen=True)
class Agreement:
    """How far two lots of pictures are apart, in levels of 255.

    Attributes:
        within_one: Share of the pixels that differ by one level at most.
        mean: Mean difference.
        most: Largest difference.
    """

    within_one: float
    mean: float
    most: float

    def __str__(self) -> str:
        share = f"{100 * self.within_one:.4g} % of pixels within 1/255 of PyTorch's"
        return f"{share}, mean difference {self.mean:.3g}, largest {self.most:.3g}"


def check_onnx_model(model: TrainedModel, made: onnx.ModelProto, form: OnnxOptions) -> Agreement:
    """Hold a file against the rules of ONNX, and its pictures against PyTorch's.

    Raises:
        IddmError: It is not what it should be.
    """
    try:
        onnx.checker.check_model(made, full_check=True)
        session = open_session(made.SerializeToString())
        agreement = (compare_images if form.part == "pipeline" else compare_estimates)(
            model, session
        )
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise IddmError(f"the exported graph is no valid ONNX: {error}") from error
    except onnxruntime.capi.onnxruntime_pybind11_state.OrtException as error:
        raise IddmError(
            f"onnxruntime {onnxruntime.__version__} cannot run the exported graph: {error}",
            "Try another --opset.",
        ) from error
    if form.precision == "fp32" and agreement.within_one < ENOUGH:
        raise IddmError(
            f"onnxruntime draws other pictures than PyTorch: {agreement}",
            "Nothing was written. Try another --opset.",
        )
    return agreement


def open_session(content: bytes) -> onnxruntime.InferenceSession:
    """Load a file into onnxruntime, on the CPU, which says no more than its errors."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])


def encode_seed(seed: int) -> np.ndarray:
    """Return what the input `seed` must be for the noise that `iddm generate --seed` adds."""
    low, high = randomness.key_of(seed, "sample-step")
    return np.array(low | high << 32, np.uint64).astype(np.int64)


def build_inputs(
    session: onnxruntime.InferenceSession,
    model: TrainedModel,
    specs: list[SampleSpec],
    *,
    seed: int,
    guidance: float | None = None,
) -> dict[str, Any]:
    """Return the inputs for which a pipeline draws what `ImageGenerator.generate_batch` draws."""
    index = torch.tensor([spec.index for spec in specs])
    noise = randomness.normal(seed, "sample", items=index, step=0, shape=model.shape)
    weight = model.profile.sampling.guidance if guidance is None else guidance
    inputs = {
        "noise": noise.numpy(),
        "label": np.array([spec.label for spec in specs]),
        "guidance": np.array(weight, np.float32),
        "index": index.numpy(),
        "seed": encode_seed(seed),
    }
    values = (*session.get_inputs(), *session.get_overridable_initializers())
    return {value.name: inputs[value.name] for value in values}


def compare_images(model: TrainedModel, session: onnxruntime.InferenceSession) -> Agreement:
    """Draw two pictures, of the first and of the last class, both ways."""
    last = max(0, len(model.classes) - 1)
    specs = [SampleSpec(0, 0), SampleSpec(last, 1)]
    (found,) = session.run(None, build_inputs(session, model, specs, seed=SEED))
    wanted = ImageGenerator(
        model.denoiser,
        model.profile.sampling,
        num_classes=len(model.classes),
        shape=model.shape,
    ).generate_batch(specs, SEED)
    return measure_agreement(found.astype(np.float64), wanted.numpy().astype(np.float64))


def compare_estimates(model: TrainedModel, session: onnxruntime.InferenceSession) -> Agreement:
    """Estimate x from pictures with some, more and almost only noise, both ways."""
    schedule = model.denoiser.schedule
    t = torch.tensor([0, len(schedule) // 2, len(schedule) - 1])
    x_t = randomness.normal(SEED, "sample", items=t, step=0, shape=model.shape)
    label = t % (len(model.classes) + 1)
    inputs = {"x_t": x_t.numpy(), "t": t.numpy(), "label": label.numpy()}
    (found,) = session.run(None, {value.name: inputs[value.name] for value in session.get_inputs()})
    with torch.inference_mode():
        wanted = model.denoiser(x_t, t, label).clamp(-1, 1)
    return measure_agreement(found.clip(-1, 1) * 127.5, wanted.numpy() * 127.5)


def measure_agreement(found: np.ndarray, wanted: np.ndarray) -> Agreement:
    """Measure how far pictures are apart, given in levels."""
    difference = np.abs(found - wanted)
    return Agreement(
        float((difference <= 1).mean()), float(difference.mean()), float(difference.max())
    )
