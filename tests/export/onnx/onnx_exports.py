"""A model beside its ONNX export in onnxruntime."""

from dataclasses import replace

import numpy as np

from iddm_cli.engine.image_generator import ImageGenerator, SampleSpec
from iddm_cli.export.onnx import check
from iddm_cli.export.onnx.model_proto import build_onnx_model
from iddm_cli.export.onnx.options import OnnxOptions
from iddm_cli.export.trained_model import TrainedModel

SAMPLERS = {
    "ddim": {"sampler": "ddim"},
    "eta": {"sampler": "ddim", "eta": 0.6, "clip": False},
    "ddpm": {"sampler": "ddpm", "steps": 12},
    "dpmpp-2m": {"sampler": "dpmpp-2m", "steps": 6, "guidance_interval": [0.2, 0.97]},
    "tuned": {"sampler": "tuned", "steps": 5, "guidance_interval": [0.3, 0.97]},
}


SEED = 5


class OnnxExport:
    """A model beside what onnxruntime has of it."""

    def __init__(self, model: TrainedModel, options: OnnxOptions | None = None, made=None) -> None:
        self.model = model
        self.made = made or build_onnx_model(model, options or OnnxOptions())
        self.session = check.open_session(self.made.SerializeToString())
        self.names = [value.name for value in self.session.get_inputs()]

    def generate(self, specs: list[SampleSpec], guidance: float, seed: int = SEED) -> np.ndarray:
        inputs = self.list_inputs(specs, guidance, seed=seed)
        return self.session.run(None, inputs)[0]

    def list_inputs(
        self, specs: list[SampleSpec], guidance: float, seed: int = SEED, **upscaled: object
    ) -> dict[str, np.ndarray]:
        kinds = {"seed": seed, "guidance": guidance, **upscaled}
        return check.build_inputs(self.session, self.model, specs, **kinds)

    def wanted(self, specs: list[SampleSpec], guidance: float, seed: int = SEED) -> np.ndarray:
        return self.build_generator(guidance).generate_batch(specs, seed).numpy()

    def build_generator(self, guidance: float) -> ImageGenerator:
        sampling = self.model.profile.sampling.model_copy(update={"guidance": guidance})
        profile = self.model.profile.model_copy(update={"sampling": sampling})
        return check.build_generator(replace(self.model, profile=profile))


def same(found: np.ndarray, wanted: np.ndarray) -> bool:
    assert found.dtype == np.uint8
    assert found.shape == wanted.shape
    assert wanted.std() > 10, "the comparison is about something"
    difference = np.abs(found.astype(int) - wanted)
    # Off by one may be rounding here and there; everywhere, it would be truncation.
    return (difference <= 1).mean() >= 0.999 and (difference == 0).mean() > 0.99
