"""From a request to upscale an image to a job."""

import math
import time

from iddm_cli.data.decoding.own_size import TOO_LARGE
from iddm_cli.engine.sampling.enlargement import Enlargement
from iddm_cli.engine.sampling.small_image import SmallImage, build_small_image
from iddm_cli.profiles.settings import LARGEST_SIDE
from iddm_cli.serving.http.schemas import UpscaleRequest
from iddm_cli.serving.http.service import (
    GenerationService,
    RequestError,
    choose_seed,
    find_label,
    find_optional_label,
)
from iddm_cli.serving.http.upscaling.uploaded_images import UploadError
from iddm_cli.serving.scheduling.jobs import GenerationJob


async def create_upscale_job(service: GenerationService, query: UpscaleRequest) -> GenerationJob:
    """Turn a request to upscale an image into a job; the image is decoded last.

    Raises:
        RequestError: The request refers to something unknown, or exceeds a limit.
        UploadError: The image cannot be decoded, or is too large.
        QueueFullError: Too many images wait to be decoded.
    """
    deadline = time.monotonic() + service.limits.request_seconds
    model, traits = service.find_upscaler(query.model)
    find = find_label if traits.needs_class else find_optional_label
    label = find(query.class_, model.classes)
    settings = service.resolve_sampling(query, model)
    if query.noise_level > traits.highest_noise:
        message = f"noise_level: this model was trained with at most {traits.highest_noise:g}."
        raise RequestError(422, "noise_level_too_high", message)
    most = service.limits.max_upscaled_pixels(model.shape)
    uploaded = await service.uploads.read(query.image, traits.decoding, most // traits.factor**2)
    name = f"image.{uploaded.suffix}"
    image = build_small_image(name, label, uploaded.prepared, traits.decoding)
    check_result_size(image, traits.enlargement, most)
    plan = model.plan_upscaling(
        settings, image, seed=choose_seed(query), noise_level=query.noise_level
    )
    metadata = model.sampling_metadata(settings, plan)
    return GenerationJob(model, plan, metadata, 1, deadline, source_name=name)


def check_result_size(image: SmallImage, enlargement: Enlargement, most: int) -> None:
    """Check that an upscaled image is not larger than the server computes.

    Args:
        image: The smaller image.
        enlargement: How much larger it becomes.
        most: Pixels of the upscaled image, at most.

    Raises:
        UploadError: It is.
    """
    padded = enlargement.find_padded_size(image.size)
    if math.prod(padded) > most or max(padded) > LARGEST_SIDE:
        height, width = enlargement.find_size(image.size)
        raise UploadError(
            "image_too_large",
            f"{TOO_LARGE}{width} x {height} pixels once it is upscaled; at most {most:,}, and "
            f"{LARGEST_SIDE:,} on a side",
        )
