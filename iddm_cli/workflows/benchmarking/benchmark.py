"""`iddm bench`: times training and sampling of a profile on this machine."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from iddm_cli.display import console
from iddm_cli.display.progress import show_progress
from iddm_cli.workflows.latents.refusal import check_benched

if TYPE_CHECKING:
    import torch

    from iddm_cli.build.speed.timed_network import TimedNetwork, Workload
    from iddm_cli.build.speed.variants import Variant
    from iddm_cli.profiles.profile import Profile

SMALLEST = 8
"""Images of the smallest variant."""

BEYOND = 2
"""How many times the profile's batch the largest variant has."""

SYNTHETIC_CLASSES = 10
"""Number of classes of synthetic images, if the profile does not say that there are none."""

INTERRUPTED = 130


@dataclass(frozen=True)
class BenchRequest:
    """What is measured.

    Attributes:
        profile: The profile.
        has_data: Whether its dataset is used, and not images of noise.
        seconds: How long it may take.
    """

    profile: "Profile"
    has_data: bool
    seconds: float


def run_bench(request: BenchRequest, *, as_json: bool) -> int:
    """Time a profile on this machine, and print images per second; return the exit code.

    Ctrl-C prints what was measured until then.

    Raises:
        IddmError: The profile cannot be trained here.
    """
    from iddm_cli.build.compute import setup_compute
    from iddm_cli.build.speed.variants import VariantTimer
    from iddm_cli.display.machine.bench_table import print_bench

    runtime = request.profile.runtime
    compute = setup_compute(runtime)
    workload = prepare_workload(request, compute.device)
    batch = workload.profile.training.batch_size
    sizes = choose_sizes(batch)
    networks: list[TimedNetwork] = []

    def grow(images: int) -> "list[Variant]":
        if not networks:
            networks.extend(build_networks(workload, compute.precision))
        return [v for n in networks for v in n.build_variants(images, first=images == sizes[0])]

    timer = VariantTimer(grow, sizes, request.seconds)
    interrupted = False
    try:
        with show_progress() as progress:
            for share in timer.run():
                progress("timing", round(share * request.seconds), round(request.seconds))
    except KeyboardInterrupt:
        interrupted = True
    result = describe_result(workload, timer.variants, compute.precision)
    result |= {"interrupted": interrupted, "left_out": sorted(timer.left_out)}
    if as_json:
        console.print_json(result)
    else:
        print_bench(result)
    return INTERRUPTED if interrupted else 0


def choose_sizes(batch: int) -> list[int]:
    """Return the numbers of images to time, up to BEYOND times a batch."""
    sizes = {batch, BEYOND * batch}
    size = min(SMALLEST, batch)
    while size < BEYOND * batch:
        sizes.add(size)
        size *= 2
    return sorted(sizes)


def prepare_workload(request: BenchRequest, device: "torch.device") -> "Workload":
    """Return what is computed: on the profile's dataset, or on images of noise.

    Raises:
        DatasetError: The dataset cannot be found, read or trained on.
    """
    from iddm_cli.build.data import build_loader
    from iddm_cli.build.speed.timed_network import Workload
    from iddm_cli.workflows.training.data import prepare_data

    profile = request.profile
    check_benched(profile, has_data=request.has_data)
    if request.has_data:
        resolved, pack = prepare_data(profile)
        loader = build_loader(resolved, pack, device)
        return Workload(resolved, len(pack.classes), device, loader)
    channels = profile.data.channels
    classes = 0 if profile.data.conditional is False else SYNTHETIC_CLASSES
    return Workload(profile.resolve(3 if channels == "auto" else channels), classes, device)


def build_networks(workload: "Workload", precision: str) -> "list[TimedNetwork]":
    """Return the network in each precision that the device computes natively.

    Raises:
        UsageError: The network is too large for the device.
    """
    from iddm_cli.build.speed.timed_network import TimedNetwork
    from iddm_cli.engine.device import choose_precision

    fast = choose_precision("auto", workload.device)
    names = ["fp32", fast, precision]
    if workload.device.type == "cuda":
        names.append("fp16")
    return [TimedNetwork(workload, name) for name in dict.fromkeys(names)]


def describe_result(
    workload: "Workload", variants: "list[Variant]", precision: str
) -> dict[str, object]:
    """Return what was measured, as --json prints it."""
    from iddm_cli.build.speed.recommendations import Measurements
    from iddm_cli.engine.device import describe_device

    profile = workload.profile
    measured = Measurements(
        variants,
        batch_size=profile.training.batch_size,
        sampling_batch=profile.sampling.batch_size,
        precision=precision,
    )
    found = measured.recommend()
    return {
        "device": describe_device(workload.device),
        "image_size": list(profile.data.size),
        "channels": profile.data.channels,
        "classes": workload.num_classes,
        "parameters": sum(p.numel() for p in _parameters(workload)),
        "batch_size": profile.training.batch_size,
        "precision": precision,
        "rows": [describe_variant(v) for v in measured.variants if v.kind != "gradients"],
        "recommended": [vars(one) for one in found],
        "options": " ".join(f"--set {one.setting}" for one in found),
    }


def _parameters(workload: "Workload") -> "list[torch.nn.Parameter]":
    from iddm_cli.build.networks import build_backbone
    from iddm_cli.networks.skeleton import shapes_only

    with shapes_only():
        return list(build_backbone(workload.profile, workload.num_classes).parameters())


def describe_variant(variant: "Variant") -> dict[str, object]:
    """Return a row of the result."""
    return {
        "kind": variant.kind,
        "precision": variant.precision,
        "images": variant.images,
        "images_per_second": variant.images_per_second,
        "rounds": len(variant.seconds),
        "memory_bytes": variant.memory or None,
        "memory": variant.memory_source if variant.memory else None,
    }
