"""The device: which one, in which precision, and how its memory and threads are set up."""

import contextlib
import ctypes
import platform
import sys

import psutil
import torch

from iddm_cli.errors import UsageError

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}

# glibc's malloc.h
M_TRIM_THRESHOLD = -1
M_MMAP_MAX = -4


def choose_device(name: str) -> torch.device:
    """Return the device of that name; auto takes CUDA, else MPS, else the CPU.

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


def _check_cuda(name: str, index: int) -> None:
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if index < count:
        return
    found = f"PyTorch sees {count} CUDA device{'' if count == 1 else 's'} here"
    hint = f"Use cuda:0 to cuda:{count - 1}, or cpu." if count else "Use --device auto, or cpu."
    raise UsageError(f"--device {name}: {found}", hint)


def choose_precision(name: str, device: torch.device) -> str:
    """Return fp32, bf16 or fp16; auto takes bf16 where the device computes it natively."""
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


def autocast(device: torch.device, precision: str) -> contextlib.AbstractContextManager[object]:
    """Return the context in which a network computes in that precision."""
    if precision == "fp32":
        return contextlib.nullcontext()
    return torch.autocast(device.type, dtype=DTYPES[precision])


def free_memory(device: torch.device) -> int:
    """Return the bytes that are free on a device; on the CPU, in the machine."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    return psutil.virtual_memory().available


def prepare(threads: int) -> None:
    """Set up this process: its number of threads (0 leaves torch's own choice) and allocator."""
    if threads:
        torch.set_num_threads(threads)
    keep_large_blocks()


def keep_large_blocks() -> None:
    """Tell glibc to keep freed memory, instead of returning large blocks to the system.

    A training step on the CPU frees and takes the same hundreds of megabytes each time; by
    default each block is a fresh mapping, and its page faults can cost up to half of the step.
    """
    if sys.platform == "linux" and platform.libc_ver()[0] == "glibc":
        libc = ctypes.CDLL(None)
        libc.mallopt(M_MMAP_MAX, 0)
        libc.mallopt(M_TRIM_THRESHOLD, 2**31 - 1)


def describe(device: torch.device) -> str:
    """Name the device for people: `cpu (2 threads)`, `cuda:0 (NVIDIA H100)`."""
    if device.type == "cuda":
        return f"{device} ({torch.cuda.get_device_name(device)})"
    if device.type == "cpu":
        count = torch.get_num_threads()
        return f"cpu ({count} thread{'' if count == 1 else 's'})"
    return str(device)


def bits(device: torch.device, precision: str) -> dict[str, object]:
    """Return what decides the last bits of a result besides profile and data."""
    return {
        "torch": torch.__version__,
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
        "threads": torch.get_num_threads(),
        "precision": precision,
        "world_size": 1,
    }
