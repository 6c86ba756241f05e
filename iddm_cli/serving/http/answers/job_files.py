"""The files of a job, with their settings, and the command line that makes the same."""

import asyncio
import io
import shlex
import zipfile
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from iddm_cli import array_files, image_files
from iddm_cli.engine.image_generator import to_image, to_pixels
from iddm_cli.serving.http.schemas import FILE_EXTENSIONS
from iddm_cli.serving.scheduling.jobs import GenerationJob


def format_command(job: GenerationJob) -> str:
    """Return the command line for the same images: of `iddm generate`, or of `iddm upscale`."""
    metadata = job.metadata
    class_ = ["--class", _class_argument(job)] if job.class_name else []
    if job.source_name:
        words = ["iddm", "upscale", job.model.reference, job.source_name, *class_]
        words += ["--seed", str(metadata.seed), "--noise-level", _number(metadata.noise_level)]
        return shlex.join([*words, *_sampling_words(metadata)])
    words = ["iddm", "generate", job.model.reference, *class_]
    words += ["--count", str(job.count), "--seed", str(metadata.seed), *_sampling_words(metadata)]
    words += ["--same-noise"] if job.class_name and metadata.noise == "same" else []
    return shlex.join(words)


def _sampling_words(metadata: image_files.SamplingMetadata) -> list[str]:
    """Return the options that both commands have."""
    words = ["--sampler", metadata.sampler, "--steps", str(metadata.steps)]
    words += ["--time-grid", metadata.time_grid]
    words += [] if metadata.order is None else ["--order", str(metadata.order)]
    words += ["--guidance", _number(metadata.guidance)]
    words += ["--guidance-interval", image_files.format_interval(metadata.guidance_interval)]
    rescale, threshold = metadata.guidance_rescale, metadata.threshold
    words += ["--guidance-rescale", str(rescale)] if rescale else []
    words += ["--threshold", str(threshold)] if threshold else []
    words += ["--guide-with", metadata.guide_with] if metadata.guide_with else []
    words += ["--checkpoint", str(metadata.step), "--weights", metadata.weights]
    return [*words, "--precision", metadata.precision]


def _number(value: float | None) -> str:
    return str(value).removesuffix(".0")


def _class_argument(job: GenerationJob) -> str:
    """Return the value of `--class`: the name, but the index of a class named `all`."""
    return str(job.plan.label) if job.class_name == "all" else job.class_name


def collect_settings(job: GenerationJob) -> dict[str, Any]:
    """Return a job's sampling settings, by the names that requests use."""
    return job.metadata.to_json() | {"class": job.class_name}


async def encode_job_image(job: GenerationJob, index: int, form: str) -> bytes:
    """Return a finished image as a file that carries its sampling metadata."""
    if form == "npy":
        values = job.model.values.to_values(job.pixels[index].numpy())
        return await asyncio.to_thread(array_files.encode_values, values, "npy")
    notes = job.text_notes(index)
    image = to_image(job.pixels[index])
    return await asyncio.to_thread(image_files.encode_image, image, FILE_EXTENSIONS[form], notes)


async def encode_preview(denoised: Tensor, job: GenerationJob) -> bytes:
    """Return the current estimate of an image, or of its latent, [C, H, W], as a PNG."""
    return await asyncio.to_thread(_encode_preview, denoised, job)


@torch.inference_mode()
def _encode_preview(denoised: Tensor, job: GenerationJob) -> bytes:
    x = job.plan.crop(job.model.decode(denoised))
    pixels = to_pixels(x).permute(1, 2, 0).contiguous().cpu()
    return image_files.encode_image(to_image(pixels), "png")


def zip_files(files: Mapping[str, bytes]) -> bytes:
    """Return an uncompressed zip archive; the same files give the same bytes."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in files.items():
            archive.writestr(zipfile.ZipInfo(name), content)
    return buffer.getvalue()
