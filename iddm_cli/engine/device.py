"""Devices: which one, in which precision, and how its memory and threads are set up."""

import contextlib
import ctypes
import os
import platform
import sys

import torch

from iddm_cli.errors import UsageError
from iddm_cli.machine import cpus, garbage, memory, system_limits
from iddm_cli.notices import notify_once

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}

# glibc's malloc.h
M_TRIM_THRESHOLD = -1
M_MMAP_MAX = -4


def choose_device(name: str) -> torch.device:
    """Return the device of that name; auto prefers CUDA, then MPS, then the CPU.

    Raises:
        UsageError: This machine has no such device.
    """
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda", 0)
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    device = torch.device(name)
    if device.type == "cuda":
        _check_cuda(name, device.index or 0)
        return torch.device("cuda", device.index or 0)
    if device.type == "mps" and not torch.backends.mps.is_available():
        raise UsageError(f"--device {name}: this machine has no MPS", "Use --device auto.")
    return device


def choose_devices(name: str, devices: int | list[int] | str) -> list[torch.device]:
    """Return the devices that train together, one process on each.

    Args:
        name: auto, cpu, cuda, cuda:N or mps.
        devices: How many, or which GPUs; auto: all GPUs, else one device.

    Raises:
        UsageError: This machine does not have them.
    """
    if devices == "auto":
        if name in ("auto", "cuda") and torch.cuda.is_available():
            return [torch.device("cuda", i) for i in range(torch.cuda.device_count())]
        return [choose_device(name)]
    if name == "cpu":
        if isinstance(devices, list):
            raise UsageError(
                "--devices: there is only one CPU", "Give a number of processes: --devices 2"
            )
        return [torch.device("cpu")] * int(devices)
    if isinstance(devices, int) and (devices == 1 or name == "mps"):
        _check_single(name, devices)
        return [choose_device(name)]
    if isinstance(devices, list):
        return _choose_gpus(name, devices, asked=",".join(map(str, devices)))
    return _choose_gpus(name, list(range(int(devices))), asked=str(devices))


def choose_local_devices(name: str, devices: int | list[int] | str) -> list[torch.device]:
    """Return the devices of this machine that the processes of torchrun or srun use.

    Raises:
        UsageError: --devices is given: torchrun or srun decides the number of processes.
    """
    if devices != "auto":
        raise UsageError(
            "--devices: torchrun or srun decides the number of processes",
            "Leave it out; use torchrun --nproc-per-node, or srun --ntasks-per-node.",
        )
    return choose_devices(name, devices)


def _check_single(name: str, devices: int) -> None:
    if devices > 1:
        raise UsageError(f"--devices {devices}: there is only one {name} device", "Leave it out.")


def _choose_gpus(name: str, numbers: list[int], *, asked: str) -> list[torch.device]:
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if name not in ("auto", "cuda"):
        raise UsageError(
            f"--device {name} and --devices {asked} contradict each other", "Give one of them."
        )
    if len(set(numbers)) < len(numbers):
        raise UsageError(f"--devices {asked}: a GPU is named twice")
    if count == 0:
        raise UsageError(
            f"--devices {asked}: PyTorch sees no GPU here",
            "For several processes on the CPU: --device cpu --devices 2. Or leave it out.",
        )
    if max(numbers) >= count:
        raise UsageError(
            f"--devices {asked}: PyTorch sees {count} GPU{'' if count == 1 else 's'} here",
            f"They are numbered 0 to {count - 1}; leave --devices out to use all.",
        )
    return [torch.device("cuda", number) for number in numbers]


def _check_cuda(name: str, index: int) -> None:
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if index < count:
        return
    found = f"PyTorch sees {count} CUDA device{'' if count == 1 else 's'} here"
    hint = f"Use cuda:0 to cuda:{count - 1}, or cpu." if count else "Use --device auto, or cpu."
    raise UsageError(f"--device {name}: {found}", hint)


def choose_precision(name: str, device: torch.device) -> str:
    """Return fp32, bf16 or fp16; auto is bf16 where the device computes it natively."""
    if name != "auto":
        return name
    if device.type == "cuda":
        return "bf16" if torch.cuda.get_device_capability(device) >= (8, 0) else "fp32"
    if device.type == "cpu" and _cpu_computes_bf16():
        return "bf16"
    return "fp32"


def _cpu_computes_bf16() -> bool:
    # Emulated bf16 is two to three times slower than fp32, so a wrong yes is costly.
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())


def describe_arithmetic(device: torch.device) -> str:
    """Return what decides how a device rounds: its name, or the instructions of the processor."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    if device.type != "cpu":
        return device.type
    amx = " AMX" if torch.cpu._is_amx_tile_supported() else ""
    return f"cpu {platform.machine()} {torch.backends.cpu.get_cpu_capability()}{amx}"


def autocast(device: torch.device, precision: str) -> contextlib.AbstractContextManager[object]:
    """Return the context in which a network computes in that precision."""
    if precision == "fp32":
        return contextlib.nullcontext()
    return torch.autocast(device.type, dtype=DTYPES[precision])


def free_memory(device: torch.device) -> int:
    """Return the free bytes of a device; for the CPU, of the memory that this process may use."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    return memory.free_memory().free


def all_memory(device: torch.device) -> int:
    """Return all bytes of a device; for the CPU, of the memory that this process may use."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[1]
    return memory.total_memory().total


def peak_memory(device: torch.device) -> int | None:
    """Return the most bytes that this process held; None where the system does not say.

    On a GPU, those of PyTorch's tensors there.
    """
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    return memory.peak_memory() or None


def setup_process(threads: int, local_world_size: int = 1) -> None:
    """Set up the threads and the allocator of this process.

    Args:
        threads: Number of threads; 0: torch's own choice, divided among the local processes.
        local_world_size: Number of processes on this machine.

    Raises:
        UsageError: The system does not allow so many threads.
    """
    count = threads or choose_threads(local_world_size)
    # Training and the thread that writes checkpoints each compute in so many.
    startable = max(1, system_limits.count_startable_threads(2 * count) // 2) if count > 1 else 1
    if startable < count:
        problem, hint = system_limits.describe_process_limit()
        if threads:
            raise UsageError(f"runtime.threads is {threads}, but {problem}", hint)
        notify_once(f"computing in {startable} instead of {count} threads: {problem}")
    if min(count, startable) != torch.get_num_threads():
        torch.set_num_threads(min(count, startable))
    keep_large_blocks()
    garbage.resume_collection()  # what it computes with is imported


def choose_threads(local_world_size: int) -> int:
    """Return the number of threads: torch's own choice, within the quota of a container or job.

    Threads beyond a quota only wait for each other, as each is halted when it is used up. A part of
    a core is therefore rounded down. $OMP_NUM_THREADS, which torch follows, comes first.
    """
    count = torch.get_num_threads()
    if "OMP_NUM_THREADS" in os.environ:
        return max(1, count // local_world_size)
    if (quota := cpus.read_quota()) is not None:
        count = min(count, int(quota))
    share = max(1, count // local_world_size)
    return min(share, cpus.read_job_cores() or share)


def keep_large_blocks() -> None:
    """Let glibc keep freed memory, instead of returning large blocks to the system.

    A training step on the CPU frees and allocates the same hundreds of megabytes each time; by
    default each block is a new mapping, and its page faults can cost up to half of the step.
    """
    if sys.platform == "linux" and platform.libc_ver()[0] == "glibc":
        libc = ctypes.CDLL(None)
        libc.mallopt(M_MMAP_MAX, 0)
        libc.mallopt(M_TRIM_THRESHOLD, 2**31 - 1)


def describe_device(device: torch.device) -> str:
    """Return a description of a device: `cpu (2 threads)`, `cuda:0 (NVIDIA H100)`."""
    if device.type == "cuda":
        return f"{device} ({torch.cuda.get_device_name(device)})"
    if device.type == "cpu":
        count = torch.get_num_threads()
        return f"cpu ({count} thread{'' if count == 1 else 's'})"
    return str(device)


def setup_tf32(setting: str) -> None:
    """Set up which fp32 products of a GPU are rounded to TF32, with 10 bits instead of 23.

    cuDNN does not try out algorithms (`cudnn.benchmark`): which one wins is a matter of timing, and
    each rounds differently.

    Args:
        setting: runtime.tf32: none, convolutions or all.
    """
    # The newer names of these switches, fp32_precision, raise in torch.compile if they are mixed.
    torch.backends.cudnn.allow_tf32 = setting != "none"
    torch.backends.cuda.matmul.allow_tf32 = setting == "all"
    torch.backends.cudnn.benchmark = False


def describe_tf32(setting: str, device: torch.device, precision: str) -> str | None:
    """Return which products differ from PyTorch's default, as far as it matters; None if none do.

    Args:
        setting: runtime.tf32.
        device: Where it computes; only GPUs have TF32.
        precision: Only fp32 has TF32.
    """
    matters = device.type == "cuda" and precision == "fp32" and setting != "convolutions"
    return setting if matters else None


def numerics(
    device: torch.device,
    precision: str,
    world_size: int = 1,
    tf32: str = "convolutions",
    kernels: str = "reference",
) -> dict[str, object]:
    """Return what decides the last bits of a result, besides profile and data."""
    return {
        "torch": torch.__version__,
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
        "threads": torch.get_num_threads(),
        "precision": precision,
        "kernels": kernels,
        "tf32": describe_tf32(tf32, device, precision),
        "world_size": world_size,
    }
