"""Nothing is written but through durable.py, save for what is named here, with the reason."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import iddm_cli

ROOT = Path(iddm_cli.__file__).parent
ALWAYS = {
    "os.rename", "os.replace", "os.mkfifo", "os.link", "os.symlink", "os.truncate", "os.ftruncate",
    "shutil.move", "shutil.copy", "shutil.copy2", "shutil.copyfile", "shutil.copytree",
    "np.save", "np.savez", "np.memmap", "torch.save", "safetensors.torch.save_file", "save_file",
}  # fmt: skip
METHODS = {"write_text", "write_bytes", "touch", "tofile", "symlink_to", "hardlink_to", "rename"}

CALLS = ("storage/disk.py", "storage/moves.py")
"""What durable.py is made of."""

REASONED = {
    "array_files.py": {"np.save"},  # into memory
    "data/decoding/own_size.py": {"os.open"},  # the null device
    "data/decoding/workers.py": {"replace"},  # a pool of processes, not a file
    "build/latents/encoding.py": {"np.memmap"},  # read only
    "data/packs/latents/latent_pack.py": {"open"},  # flushed and renamed once whole
    "data/packs/store.py": {"touch", "open"},  # pixels, which are compared with their digests
    "data/sources/remote/downloads.py": {"touch", "open"},  # continued, and renamed once whole
    "data/sources/shards/record_table.py": {
        "np.memmap",
        "np.save",
        "open",
    },  # a folder renamed whole
    "workflows/generating/output/shard_files.py": {"open"},  # flushed and renamed once whole
    "data/sources/untar.py": {"open"},  # the copy of an archive; it is made anew
    "storage/claims.py": {"touch", "open", "write_bytes"},  # locks, which no crash has to outlive
    "storage/space.py": {"open"},  # a file that is removed at once
    "workflows/class_folders.py": {"touch"},  # the same
    "display/streams.py": {"open", "os.open"},  # the null device
    "evaluation/inception_weights.py": {"torch.save"},  # into memory
    "distributed/launch.py": {"open", "write_text"},  # what a process tells the one that began it
    "records/tuned_tables.py": {"replace"},  # text
    "workflows/tuning/tune.py": {"replace"},  # tables in memory
}
"""The files that write by themselves, and how."""


def writes(tree: ast.AST) -> Iterator[str]:
    """Yield the calls that change what is on the disk."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            whole, name = ast.unparse(node.func), ast.unparse(node.func).rpartition(".")[2]
            if whole in ALWAYS or (whole == "os.open" and flags_that_write(node)):
                yield whole
            elif (
                (is_attribute(node) and name in METHODS and not whole.endswith("disk.rename"))
                or (name in ("open", "fdopen") and mode_that_writes(node))
                or (is_attribute(node) and name == "replace" and only_one_argument(node))
            ):
                yield name


def is_attribute(call: ast.Call) -> bool:
    return isinstance(call.func, ast.Attribute)


def only_one_argument(call: ast.Call) -> bool:
    # str.replace takes two; those of dataclasses and dates, names.
    return len(call.args) == 1 and not call.keywords


def flags_that_write(call: ast.Call) -> bool:
    return any(f"O_{flag}" in ast.unparse(call) for flag in ("WRONLY", "RDWR", "CREAT", "APPEND"))


def mode_that_writes(call: ast.Call) -> bool:
    texts = [*call.args[:2], *(word.value for word in call.keywords if word.arg == "mode")]
    modes = [text.value for text in texts if isinstance(text, ast.Constant)]
    return any(
        isinstance(mode, str) and set(mode) & set("wax+") and len(mode) <= 4 for mode in modes
    )


def test_every_write_goes_through_durable():
    found = {
        path.relative_to(ROOT).as_posix(): set(writes(ast.parse(path.read_text(encoding="utf-8"))))
        for path in ROOT.rglob("*.py")
        if path.name != "durable.py" and path.relative_to(ROOT).as_posix() not in CALLS
    }
    assert {file: calls for file, calls in found.items() if calls} == REASONED


@pytest.mark.parametrize(
    "line",
    [
        'open(path, "w")',
        'path.open("ab")',
        'path.open(mode="r+b")',
        'os.fdopen(number, "wb")',
        "os.open(path, os.O_WRONLY | os.O_CREAT)",
        "path.write_text(text)",
        "Path(folder, name).write_bytes(content)",
        "path.touch()",
        "old.rename(new)",
        "old.replace(new)",
        "os.replace(old, new)",
        "shutil.move(old, new)",
        "np.save(path, array)",
    ],
)
def test_a_write_of_ones_own_is_met(line):
    assert list(writes(ast.parse(line)))


@pytest.mark.parametrize(
    "line",
    [
        'path.open("rb")',
        "open(path)",
        'text.replace("a", "b")',
        "replace(settings, steps=1)",
        "now.replace(microsecond=0)",
        "durable.write_file(path, content)",
        "os.open(path, os.O_RDONLY)",
        'tarfile.open(path, "r:")',
    ],
)
def test_what_only_reads_is_not(line):
    assert not list(writes(ast.parse(line)))
