"""Launch a generation: in this process, in one for each device, or under torchrun or srun."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from iddm_cli.display import console
from iddm_cli.distributed.environment import RankInfo, read_rank_info
from iddm_cli.errors import UsageError
from iddm_cli.workflows import models
from iddm_cli.workflows.generating.generate_options import GenerateOptions
from iddm_cli.workflows.generating.image_shares import parse_shard
from iddm_cli.workflows.latents.refusal import check_latent_options
from iddm_cli.workflows.sampling.sampling_profile import load_sampling_profile

if TYPE_CHECKING:
    import torch

    from iddm_cli.distributed.group import ProcessGroup
    from iddm_cli.profiles.profile import ResolvedProfile

LONGEST_WAIT = 7 * 24 * 3600.0
"""Seconds that one process waits at its end for slower ones, of which none has failed."""


@dataclass(frozen=True)
class SharedGeneration:
    """What every process is given.

    Attributes:
        options: The options.
        profile: The model's profile, with the sampling options.
    """

    options: GenerateOptions
    profile: "ResolvedProfile"


def generate(options: GenerateOptions) -> int:
    """Generate images on the devices that the options name; return the exit code.

    Raises:
        IddmError: An option is invalid, the model is damaged, or the folder cannot be written to.
    """
    options.check()
    parse_shard(options.shard)
    rank_info = read_rank_info()
    if rank_info is not None and rank_info.rank != 0:
        console.silence()
    model = models.find_model(options.runs_dir, options.model)
    profile = load_sampling_profile(
        model, dict(options.sampling), autoguided=options.guide_with is not None
    )
    check_latent_options(profile, model.reference, options.list_given())
    if rank_info is not None:
        return _run_joined(SharedGeneration(options, profile), rank_info)

    from iddm_cli.distributed.launch import run_local
    from iddm_cli.engine.device import choose_devices

    devices = choose_devices(profile.runtime.device, options.devices or 1)
    options = replace(options, out=options.out or model.default_output_dir())
    return run_local(run_job, SharedGeneration(options, profile), devices, LONGEST_WAIT)


def _run_joined(job: SharedGeneration, info: RankInfo) -> int:
    """Run this process's part under torchrun or srun, which it shares without any contact."""
    from iddm_cli.distributed.group import ProcessGroup
    from iddm_cli.engine.device import choose_local_devices

    if job.options.out is None:
        raise UsageError("--out is needed under torchrun and srun", "All processes write into it.")
    devices = choose_local_devices(job.profile.runtime.device, job.options.devices or "auto")
    group = ProcessGroup(info.rank, info.world_size, info.local_world_size, info.is_restart)
    return run_job(group, devices[info.local_rank % len(devices)], job)


def run_job(group: "ProcessGroup", device: "torch.device", job: SharedGeneration) -> int:
    """Generate one process's share of the images; return its exit code.

    Raises:
        IddmError: An option is invalid, the model is damaged, or the folder cannot be written to.
    """
    from iddm_cli.workflows.generating.generation import prepare_generation
    from iddm_cli.workflows.generating.image_writing import generate_images
    from iddm_cli.workflows.generating.output.shard_writing import generate_shards

    if not group.is_main:
        console.silence()
    shard = parse_shard(job.options.shard).divide(group.rank, group.world_size)
    generation = prepare_generation(job.options, job.profile, shard, group, device)
    if job.options.to is None:
        generate_images(generation)
    else:
        generate_shards(generation)
    return 0
