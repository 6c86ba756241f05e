"""Checks that compute, each in a process of its own: PyTorch may hang, or crash."""

import multiprocessing
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING, Any

from iddm_cli.errors import IddmError, first_line
from iddm_cli.workflows.diagnosis.findings import Finding
from iddm_cli.workflows.diagnosis.machine_checks import read_nvidia_driver

if TYPE_CHECKING:
    import torch

    from iddm_cli.distributed.group import ProcessGroup

CUDA_ADVICE = (
    "Install a PyTorch build for this driver: https://pytorch.org/get-started/locally, or update "
    "the driver."
)

HELLO_SECONDS = 100.0
"""How long two processes may look for each other."""


def run_in_process(check: Callable[..., Finding], *args: object, timeout: float) -> Finding:
    """Run a check in a new process; return that it failed if it crashes or takes too long."""
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_report, args=(sender, check, args))
    process.start()
    sender.close()
    try:
        if not receiver.poll(timeout):
            return Finding("failed", f"no answer within {timeout:.0f} seconds")
        return receiver.recv()
    except EOFError:
        process.join(5)
        return Finding("failed", f"the process ended with exit code {process.exitcode}")
    finally:
        process.kill()
        process.join()


def _report(sender: Connection, check: Callable[..., Finding], args: tuple[object, ...]) -> None:
    """Run in the new process: send what the check finds."""
    from iddm_cli.display import console

    console.silence()
    try:
        found = check(*args)
    except IddmError as error:
        found = Finding("failed", error.problem, error.hint)
    except Exception as error:  # noqa: BLE001 - whatever is wrong, it is the finding
        found = Finding("failed", f"{type(error).__name__}: {first_line(error)}")
    sender.send(found)


def inspect_torch() -> Finding:
    """Find out which PyTorch is installed, and what it can use of this machine."""
    import torch

    from iddm_cli.engine.device import choose_precision

    cpu = torch.device("cpu")
    capabilities = [
        name
        for name, test in (
            ("bf16", "_is_avx512_bf16_supported"),
            ("AMX", "_is_amx_tile_supported"),
        )
        if getattr(torch.cpu, test, bool)()
    ]
    gpus = [_describe_gpu(i) for i in range(torch.cuda.device_count())]
    devices = ["cpu", *(f"cuda:{i}" for i in range(len(gpus)))]
    if torch.backends.mps.is_available():
        devices.append("mps")
    capability = torch.backends.cpu.get_cpu_capability()
    parts = [
        f"PyTorch {torch.__version__}",
        "1 thread" if torch.get_num_threads() == 1 else f"{torch.get_num_threads()} threads",
        capability,
        f"{' and '.join(capabilities) or 'no bf16'} in hardware",
        f"trains in {choose_precision('auto', cpu)} on the CPU",
    ]
    facts: dict[str, object] = {
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        "cpu_capability": capability,
        "cpu_features": capabilities,
        "cpu_precision": choose_precision("auto", cpu),
        "cuda": torch.version.cuda,
        "gpus": gpus,
        "devices": devices,
    }
    return Finding("ok", ", ".join(parts), facts=facts)


def _describe_gpu(index: int) -> dict[str, object]:
    import torch

    found = torch.cuda.get_device_properties(index)
    return {
        "name": found.name,
        "memory_bytes": found.total_memory,
        "capability": f"{found.major}.{found.minor}",
    }


def judge_gpus(found: Finding) -> Finding:
    """Return what is known of GPUs, by what PyTorch says and by the driver."""
    if "gpus" not in found.facts:
        return Finding("failed", "PyTorch cannot be used, see above")
    gpus: Any = found.facts["gpus"]
    built, driver = found.facts["cuda"], read_nvidia_driver()
    facts: dict[str, object] = {"driver": driver or None}
    if gpus:
        names = [
            f"{gpu['name']}, {gpu['memory_bytes'] / 1e9:.3g} GB, compute {gpu['capability']}"
            for gpu in gpus
        ]
        return Finding("ok", f"{'; '.join(names)}; driver {driver}, CUDA {built}", facts=facts)
    if driver and built is None:
        text = f"NVIDIA driver {driver} is installed, but this PyTorch is built without CUDA"
        return Finding("warning", text, CUDA_ADVICE, facts)
    if driver:
        text = f"PyTorch for CUDA {built} cannot use a GPU with NVIDIA driver {driver}"
        return Finding("warning", text, CUDA_ADVICE, facts)
    devices: Any = found.facts["devices"]
    return Finding("ok", "Apple's GPU" if "mps" in devices else "none", facts=facts)


def try_device(name: str) -> Finding:
    """Make a training step and generate an image on a device, with the network of smoke."""
    import math
    import time

    import torch

    from iddm_cli.build.compute import setup_compute
    from iddm_cli.build.speed.timed_network import TimedNetwork, Workload
    from iddm_cli.profiles.loading import load_profile

    profile = load_profile("smoke", []).resolve(3)
    compute = setup_compute(profile.runtime.model_copy(update={"device": name, "threads": 0}))
    started = time.monotonic()
    network = TimedNetwork(Workload(profile, 2, torch.device(name)), compute.precision)
    loss = network.train_step.update(0).loss.item()
    trained = time.monotonic()
    network.sample(1)()
    ended = time.monotonic()
    if not math.isfinite(loss):
        return Finding("failed", f"the loss of a training step is {loss}")
    text = f"a training step {trained - started:.2g} s, an image {ended - trained:.2g} s"
    return Finding("ok", text, facts={"device": name, "loss": loss})


def try_processes(names: list[str]) -> Finding:
    """Let two processes add up their ranks, through what training uses to start them."""
    import torch

    from iddm_cli.distributed.launch import run_local

    devices = [torch.device(name) for name in names]
    backend = "nccl" if devices[0].type == "cuda" else "gloo"
    code = run_local(_say_hello, None, devices, HELLO_SECONDS)
    if code:
        return Finding("failed", f"two processes ({backend}) ended with exit code {code}")
    return Finding("ok", f"two processes ({backend}) found each other", facts={"backend": backend})


def _say_hello(group: "ProcessGroup", device: "torch.device", _job: None) -> int:
    """Run in each of the two processes; return 0 if all ranks arrived."""
    import torch

    total = group.all_reduce_sum(torch.tensor([group.rank + 1.0], device=device))
    return 0 if total.tolist() == [3.0] else 1
