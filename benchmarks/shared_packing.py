"""Packing one dataset on two machines with one cache, and what happens if one of them dies.

    python benchmarks/shared_packing.py [--images 20000]

Two processes with a host name and process ids of their own (UTS and PID namespaces: Linux, root and
unshare) stand for two machines; the dataset and the cache are on a disk that they share. The pack
is cut into 20 slices. Each process records which image it decodes, and when.

    both finish     with file locks
    one is killed   with file locks, by SIGKILL in the middle of a slice
    without locks   the same where the storage has no file locks: the claim of the dead machine has
                    to become stale

Every pack is compared with that of one process, byte for byte.
"""

import argparse
import hashlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from data import create_images

SLICES = 20
SIDE = 32
CASES = ("both finish", "one is killed", "without locks")


def record_and_prepare(folder: str, prepare, *arguments, **options):
    """Record which image is decoded, and decode it."""
    handle = arguments[-1]
    path = Path(folder, f"{socket.gethostname()}-{os.getpid()}")
    with path.open("ab", buffering=0) as file:
        file.write(f"{handle.path}\n".encode())
    return prepare(*arguments, **options)


def pack_as_machine(scratch: Path, images: int, *, has_locks: bool) -> None:
    """Pack the dataset in slices, and record every image that is decoded."""
    from functools import partial

    from iddm_cli.data.packs import builder
    from iddm_cli.data.packs.slices import slice_source
    from iddm_cli.data.sources.registry import open_source
    from iddm_cli.profiles.settings import DataSettings
    from iddm_cli.storage import file_locks

    slice_source.SLICE_BYTES = 3 * SIDE * SIDE * (images // SLICES)
    if not has_locks:
        file_locks._lock_file = lambda *_: False
    for name in ("prepare_image", "prepare_both"):
        prepare = partial(record_and_prepare, str(scratch / "decoded"), getattr(builder, name))
        setattr(builder, name, prepare)
    folder = str(scratch / "images")
    settings = DataSettings(path=folder, image_size=SIDE, workers=1, held_out=0)
    pack = builder.build_pack(open_source(folder, size=(SIDE, SIDE)), settings)
    content = hashlib.sha256()
    for path in pack.images_paths:
        content.update(path.read_bytes())
    print(pack.digest, content.hexdigest(), flush=True)


def start_machine(
    scratch: Path, images: int, host: str, *, has_locks: bool
) -> subprocess.Popen[str]:
    """Start the process of a machine."""
    words = [sys.executable, __file__, "--images", str(images), "--scratch", str(scratch)]
    words += [] if has_locks else ["--without-locks"]
    inside = f'hostname {host} && exec "$@"'
    command = ["unshare", "--uts", "--pid", "--fork", "--kill-child", "--mount-proc"]
    env = {**os.environ, "IDDM_CACHE_DIR": str(scratch / "cache"), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [*command, "sh", "-c", inside, "sh", *words], env=env, text=True, stdout=subprocess.PIPE
    )


def read_decoded(scratch: Path, host: str = "") -> Counter[str]:
    """Return how often each image was decoded, by one machine or by both."""
    found: Counter[str] = Counter()
    for path in (scratch / "decoded").glob(f"{host}*"):
        found.update(path.read_text().splitlines())
    return found


def clear(scratch: Path) -> None:
    """Forget what earlier packing has left."""
    for name in ("cache", "decoded"):
        shutil.rmtree(scratch / name, ignore_errors=True)
    (scratch / "decoded").mkdir()


def pack_once(scratch: Path, images: int) -> str:
    """Return the digests of the pack of one machine."""
    clear(scratch)
    return start_machine(scratch, images, "alone", has_locks=True).communicate()[0].strip()


def try_case(case: str, scratch: Path, images: int, expected: str) -> None:
    """Pack on two machines, and print what they did."""
    clear(scratch)
    has_locks = case != "without locks"
    started = time.monotonic()
    both = [start_machine(scratch, images, host, has_locks=has_locks) for host in ("m1", "m2")]
    note = ""
    if case != "both finish":
        # In the middle of a slice that is not its first, while the other one is at work as well.
        target = 3 * images // SLICES // 2
        while min(read_decoded(scratch, host).total() for host in ("m1", "m2")) < target:
            time.sleep(0.05)
        both[0].send_signal(signal.SIGKILL)  # unshare ends all processes of the namespace with it
        killed = time.monotonic()
        both[0].wait()
        note = f", m1 killed after {read_decoded(scratch, 'm1').total():,}"
    answers = [process.communicate()[0].strip() for process in both]
    answers = answers if case == "both finish" else answers[1:]
    if case != "both finish":
        note += f", m2 finished {time.monotonic() - killed:.0f} s later"
    counts, shares = read_decoded(scratch), [
        read_decoded(scratch, host).total() for host in ("m1", "m2")
    ]  # fmt: skip
    print(
        f"{case}: {len(counts):,} of {images:,} images decoded, "
        f"{sum(count > 1 for count in counts.values()):,} of them more than once; "
        f"m1 {shares[0]:,}, m2 {shares[1]:,}{note}; {time.monotonic() - started:.0f} s in all; "
        f"the pack of one machine: {all(answer == expected for answer in answers)}",
        flush=True,
    )


def main() -> None:
    """Try all cases."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--images", type=int, default=20_000)
    parser.add_argument("--cases", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--scratch", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--without-locks", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.scratch:
        pack_as_machine(options.scratch, options.images, has_locks=not options.without_locks)
        return
    if os.geteuid() != 0 or shutil.which("unshare") is None:
        parser.error("namespaces need root and unshare")
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        create_images(scratch / "images", options.images, SIDE)
        expected = pack_once(scratch, options.images)
        for case in options.cases:
            try_case(case, scratch, options.images, expected)


if __name__ == "__main__":
    main()
