"""Pickles that are hostile: nothing is executed, nothing grows."""

import os
import pickle
import re

import pytest
import torch

from tests.importing.hostile_files import Call, archive, declared, one, refused


@pytest.mark.parametrize("protocol", [0, 1, 2, 4])
@pytest.mark.parametrize("inside", ["alone", "as a tensor", "as an attribute"])
@pytest.mark.parametrize("wrapped", [True, False], ids=["in a zip", "bare"])
def test_a_pickle_that_would_run_something_runs_nothing(tmp_path, protocol, inside, wrapped):
    mark = tmp_path / "mark"
    call = Call(os.system, f"touch {mark}")
    thing = {"alone": call, "as a tensor": {"outc.bias": call}, "as an attribute": {"act": call}}
    content = pickle.dumps(thing[inside], protocol)
    path = tmp_path / "model.pt"
    if wrapped:
        assert "is refused: its pickle" in refused(archive(path, content)).problem
    else:
        path.write_bytes(content)
        refused(path)
    assert not mark.exists()
    pickle.loads(content)
    assert mark.exists(), "it would have"


@pytest.mark.parametrize(
    "call",
    [
        Call(bytearray, 10**10),
        Call(eval, "print('x')"),
        Call(exec, "raise SystemExit"),
        Call(torch.zeros, 10**10),
        Call(getattr, "", "x"),
    ],
    ids=["bytearray", "eval", "exec", "zeros", "getattr"],
)
def test_functions_that_weights_do_not_need_are_never_called(tmp_path, call):
    path = archive(tmp_path / "model.pt", pickle.dumps({"model": call}, 2))
    assert "which weights do not need" in refused(path).problem


@pytest.mark.parametrize(
    ("shape", "strides", "count", "offset"),
    [
        (one(10**10), one(0), 1, 0),
        (one(10**10), one(1), 10**10, 0),
        (one(2), one(1), 1, 0),
        (one(1), one(1), 1, 1),
        (one(1), one(1), 1, -1),
        (one(-1), one(1), 1, 0),
        (one(1), one(1), -1, 0),
        (one(1), ")", 1, 0),
        (one(10**400), one(10**400), 1, 0),
    ],
    ids=["stride 0", "huge", "short", "behind", "before", "negative", "negative storage", "ragged",
         "beyond numbers"],
)  # fmt: skip
def test_a_tensor_has_no_more_numbers_than_are_stored(tmp_path, shape, strides, count, offset):
    content = declared(shape, strides, count=count, offset=offset)
    path = archive(tmp_path / "model.pt", content, numbers=b"\0" * 4)
    assert path.stat().st_size < 1500
    assert "does not fit" not in refused(path).problem, "refused before it is held against any"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"\x80\x02r\xff\xff\xff\x7f.", "malformed"),
        (b"\x80\x02N" + b"r\xff\xff\xff\x7f" + b".", "not hold a dictionary"),
        (b"\x80\x02" + b"}" * 2**20 + b".", "too long"),
        (b"\x80\x02" + b"(" * 2**16 + b"t" * 2**16 + b".", "not hold a dictionary"),
        (b"\x80\x02}" + b"(" * 2**16 + b"t" * 2**16 + b"Ns.", "keys"),
        (b"\x80\x02\x8b\xff\xff\xff\x7f1.", "LONG4|malformed"),
        (b"\x80\x02X\xff\xff\xff\x7fa.", "malformed"),
        (b"\x80\x02ccollections\nOrderedDict\n(]tR.", "unusual way"),
        (b"\x80\x02N", "malformed|no end"),
        (b"", "malformed|no end"),
        (b".", "malformed"),
        (b"\xff" * 40, "malformed"),
        (b"\x80\x02" + b"N" * (2**23 + 1) + b".", "too long"),
    ],
    ids=["memo of nothing", "memo far away", "many", "deep", "deep key", "long number", "long text",
         "filled", "cut", "empty", "stop", "noise", "large"],
)  # fmt: skip
def test_a_pickle_cannot_fill_the_memory_or_overrun_it(tmp_path, content, said):
    assert re.search(said, refused(archive(tmp_path / "model.pt", content)).problem)
