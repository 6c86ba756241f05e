"""Damaged and forged checkpoints: found, named, passed over; and nothing of them is believed."""

import json
import os
import random
import shutil
from pathlib import Path

import pytest
import torch

from iddm_cli import durable
from iddm_cli.checkpoints.checkpoint_folder import CheckpointFolder
from iddm_cli.checkpoints.retention import Retention
from iddm_cli.errors import CheckpointError
from tests.engine.test_trainer import make
from tests.faults import harms
from tests.faults.disks import Unsynced
from tests.faults.harms import FILES, HARMS, HOSTILE_FILES, PARTS, bounds, edit, forge, template

TRIALS = int(os.environ.get("IDDM_TEST_FUZZ", "200"))
STATE = {"bits": {"threads": 1}, "scaler": {}, "course": {"skipped": 0}, "metrics": {"loss": 0.5}}

pytestmark = pytest.mark.timeout(60)


@pytest.fixture(scope="module")
def sound(tmp_path_factory) -> Path:
    """Save two checkpoints, from which all others here are copied."""
    folder = CheckpointFolder(tmp_path_factory.mktemp("sound") / "checkpoints", Retention(9))
    for step in (1, 2):
        folder.save(step, template(step), STATE)
    return folder.path


@pytest.fixture
def folder(sound, tmp_path, monkeypatch) -> CheckpointFolder:
    monkeypatch.setattr(durable, "disk", Unsynced())
    return fresh(sound, tmp_path / "checkpoints")


def fresh(sound: Path, path: Path) -> CheckpointFolder:
    shutil.rmtree(path, ignore_errors=True)
    shutil.copytree(sound, path)
    return CheckpointFolder(path, Retention(2))


def newest(folder: CheckpointFolder) -> Path:
    return folder.path / "step-00000002"


def check_fallback(folder: CheckpointFolder, file: str) -> None:
    """Hold a folder to its promise: the older one is used, and what is wrong is told."""
    with bounds():
        saved, (error,) = folder.latest_valid()
    assert saved.step == 1
    assert file in error.problem or "checkpoint format" in error.problem
    assert str(newest(folder)) in error.problem
    assert len(error.problem) - len(str(newest(folder))) < 300
    assert not harms.FORBIDDEN.exists()


def test_any_damage_is_found_and_named(sound, folder):
    for trial in range(TRIALS):
        dice = random.Random(trial)
        harm, file = dice.choice(HARMS), dice.choice(FILES)
        fresh(sound, folder.path)
        harm(newest(folder) / file, folder.path / "step-00000001" / file, dice)
        check_fallback(folder, file)
    saved, _ = folder.latest_valid()
    for part, like in template(1).items():
        read = saved.read(part, like)
        assert all(torch.equal(read[name], like[name]) for name in like)


@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize("harm", dict.fromkeys(HARMS), ids=lambda harm: harm.__name__)
def test_every_harm_to_every_file(folder, harm, file):
    harm(newest(folder) / file, folder.path / "step-00000001" / file, random.Random(1))
    check_fallback(folder, file)


@pytest.mark.parametrize("harm", dict.fromkeys(HARMS[-4:]), ids=lambda harm: harm.__name__)
def test_a_checkpoint_that_is_no_folder(folder, harm):
    shutil.rmtree(newest(folder))
    newest(folder).touch()
    if harm is harms.make_a_folder:
        shutil.rmtree(newest(folder), ignore_errors=True)
    harm(newest(folder), folder.path, random.Random(1))
    check_fallback(folder, "")
    folder.save(3, template(3), STATE)
    assert folder.latest_valid()[0].step == 3


STATES = {
    "empty": b"",
    "a newer format": b'{"format": 2, "step": 2}',
    "only a list": b"[]",
    "no text": b"\xff\xfe\x00",
    "2 MB": json.dumps({"format": 1, "bits": "x" * 2**21}).encode(),
    "2 MB of spaces": b" " * 2**21,
    "deep lists": b"[" * 100_000,
    "deep lists that end": b"[" * 100_000 + b"]" * 100_000,
    "deep tables": b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
    "many lists": b"[" + b"[]," * 300_000 + b"[]]",
    "many tables": b"[" + b"{}," * 300_000 + b"{}]",
    "many keys": json.dumps({str(number): 0 for number in range(80_000)}).encode(),
    "5,000 digits": b'{"format": 1, "step": ' + b"9" * 5000 + b"}",
    "a number beyond all": b'{"format": 1e999, "step": 2}',
    "NaN": b'{"format": NaN, "step": 2}',
}


@pytest.mark.parametrize("content", STATES)
def test_a_state_that_is_none(folder, content):
    (newest(folder) / "state.json").write_bytes(STATES[content])
    check_fallback(folder, "state.json")


EDITS = {
    "no format": lambda state: state.pop("format"),
    "no step": lambda state: state.pop("step"),
    "no bits": lambda state: state.pop("bits"),
    "no files": lambda state: state.pop("files"),
    "no digest": lambda state: state["files"]["model.safetensors"].pop("sha256"),
    "no size": lambda state: state["files"]["model.safetensors"].pop("bytes"),
    "no such file": lambda state: state["files"].pop("model.safetensors"),
    "files that are numbers": lambda state: state.update(files=dict.fromkeys(FILES, 3)),
    "files that are texts": lambda state: state.update(files=dict.fromkeys(FILES, "x")),
    "files in a list": lambda state: state.update(files=list(FILES)),
    "files in pairs": lambda state: state.update(files=list(state["files"].items())),
    "a size that lies": lambda state: state["files"]["model.safetensors"].update(bytes=10**12),
    "a size below none": lambda state: state["files"]["model.safetensors"].update(bytes=-1),
    "a digest that is a list": lambda state: state["files"]["model.safetensors"].update(sha256=[]),
    "another step": lambda state: state.update(step=3),
    "a step that is text": lambda state: state.update(step="2"),
    "half a step": lambda state: state.update(step=2.5),
    "a step that is a list": lambda state: state.update(step=[2]),
    "a step without end": lambda state: state.update(step=float("inf")),
    "a step beyond all": lambda state: state.update(step=10**4000),
    "a format that is text": lambda state: state.update(format="1"),
    "a format that is true": lambda state: state.update(format=True),
    "bits in a list": lambda state: state.update(bits=[["threads", 1]]),
    "a scaler that is text": lambda state: state.update(scaler="x"),
    "a scaler that lacks something": lambda state: state.update(scaler={"scale": 1.0}),
    "a scaler of no number": lambda state: state.update(scaler={**SCALER, "scale": float("nan")}),
    "a scaler of text": lambda state: state.update(scaler={**SCALER, "scale": "x"}),
    "a course that is a list": lambda state: state.update(course=[1]),
    "a count of text": lambda state: state.update(course={"skipped": "1"}),
    "a count below none": lambda state: state.update(course={"streak": -1}),
    "a count beyond all": lambda state: state.update(course={"first": 2**70}),
    "a count of no number": lambda state: state.update(course={"skipped": float("nan")}),
    "a rate of no number": lambda state: state.update(course={"rate": float("nan")}),
    "a rate of nothing": lambda state: state.update(course={"rate": None}),
    "a rate that is true": lambda state: state.update(course={"rate": True}),
    "a micro-batch that is a list": lambda state: state.update(course={"micro_batch": [1]}),
    "metrics that are a list": lambda state: state.update(metrics=[1]),
    "a metric that is a list": lambda state: state.update(metrics={"loss": []}),
    "a metric that is text": lambda state: state.update(metrics={"loss": "low"}),
    "a metric beyond all": lambda state: state.update(metrics={"loss": 10**400}),
}
SCALER = {
    "scale": 65536.0,
    "growth_factor": 2.0,
    "backoff_factor": 0.5,
    "growth_interval": 2000,
    "_growth_tracker": 3,
}


@pytest.mark.parametrize("change", EDITS)
def test_a_state_that_is_signed_and_makes_no_sense(folder, change):
    edit(newest(folder), EDITS[change])
    file = "model.safetensors" if "size" in change or "digest" in change or "such" in change else ""
    check_fallback(folder, file or "state.json")
    folder.save(3, template(3), STATE)
    assert folder.latest_valid()[0].step == 3


def test_a_scaler_that_makes_sense_is_read(folder):
    edit(newest(folder), lambda state: state.update(scaler=SCALER))
    assert folder.latest_valid()[0].scaler == SCALER


@pytest.mark.parametrize("file", [*FILES[:3]])
@pytest.mark.parametrize(
    "harm",
    [harms.make_a_pipe, harms.link_to_zeros, harms.make_a_folder],
    ids=lambda harm: harm.__name__,
)
def test_what_is_no_file_is_not_read_though_it_is_vouched_for(folder, harm, file):
    path = newest(folder) / file
    harm(path, path, random.Random(1))
    size = path.stat().st_size
    edit(newest(folder), lambda state: state["files"][file].update(bytes=size))
    check_fallback(folder, file)


FORGERIES = {
    "missing": (lambda tensors: tensors.pop("w"), "missing: w"),
    "extra": (lambda tensors: tensors.update(more=torch.ones(1)), "unexpected: more"),
    "renamed": (lambda tensors: tensors.update(v=tensors.pop("w")), "missing: w; unexpected: v"),
    "turned": (lambda tensors: tensors.update(w=tensors["w"].T.contiguous()), "wrong shape: w"),
    "flat": (lambda tensors: tensors.update(w=tensors["w"].flatten()), "wrong shape: w"),
    "empty": (lambda tensors: tensors.update(w=torch.ones(0, 80)), "wrong shape: w"),
    "halves": (lambda tensors: tensors.update(w=tensors["w"].half()), "wrong type: w"),
    "whole numbers": (lambda tensors: tensors.update(w=tensors["w"].int()), "wrong type: w"),
}
NOT_FINITE = {"not a number": float("nan"), "endless": float("-inf")}


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("forgery", FORGERIES)
def test_a_forgery_that_does_not_fit_is_refused_by_name(folder, part, forgery):
    change, said = FORGERIES[forgery]
    tensors = template(2)[part]
    change(tensors)
    harms.forge_tensors(newest(folder), part, tensors)
    saved, _ = folder.latest_valid()
    with pytest.raises(CheckpointError, match=said), bounds():
        saved.read(part, template(2)[part])


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("content", HOSTILE_FILES)
def test_a_hostile_file_that_is_vouched_for_is_refused(folder, part, content):
    forge(newest(folder), part, HOSTILE_FILES[content])
    saved, _ = folder.latest_valid()
    with pytest.raises(CheckpointError, match=part) as refused, bounds():
        saved.read(part, template(2)[part])
    assert len(refused.value.problem) < 700
    assert not harms.FORBIDDEN.exists()


@pytest.mark.parametrize("count", [30_000, 1_000_000])
def test_a_million_tensors_cost_no_memory(folder, count):
    forge(newest(folder), "model", harms.many_keys(count))
    saved, _ = folder.latest_valid()
    with pytest.raises(CheckpointError, match="model"), bounds():
        saved.read("model", template(2)["model"])


@pytest.mark.parametrize("part", ["model", "average"])
@pytest.mark.parametrize("number", NOT_FINITE)
def test_weights_that_are_not_finite_are_refused_by_name(folder, part, number):
    tensors = template(2)[part]
    tensors["w"][3, 4] = NOT_FINITE[number]
    harms.forge_tensors(newest(folder), part, tensors)
    with pytest.raises(CheckpointError, match=r"w holds numbers that are not finite"):
        folder.latest_valid()[0].read(part, template(2)[part])


def garbled(content: bytes, dice: random.Random) -> bytes:
    """Return a file whose header was changed, with a length that may still be right."""
    length = int.from_bytes(content[:8], "little")
    header, data = bytearray(content[8 : 8 + length]), content[8 + length :]
    signs = [b"0", b"-1", b"99999999999999999999", b"1e9", b"null", b'"w"', b"[", b"}", b",", b"\0"]
    for _ in range(dice.choice([1, 1, 2, 4])):
        at = dice.randrange(len(header))
        header[at : at + dice.choice([0, 1, 3])] = dice.choice([*signs, dice.randbytes(1)])
    lying = dice.random() < 0.1
    return harms.as_safetensors(bytes(header), data, dice.randrange(2**20) if lying else None)


def test_a_header_that_was_garbled_and_vouched_for_is_refused_or_harmless(sound, folder):
    content, like = (sound / "step-00000002" / FILES[0]).read_bytes(), template(2)["model"]
    refused = 0
    for trial in range(TRIALS):
        forge(newest(folder), "model", garbled(content, random.Random(trial)))
        saved, _ = folder.latest_valid()
        try:
            read = saved.read("model", like)
        except CheckpointError as error:
            refused += 1
            assert "model" in error.problem
        else:
            assert {name: (t.shape, t.dtype) for name, t in read.items()} == {
                name: (t.shape, t.dtype) for name, t in like.items()
            }
    assert refused > 0.8 * TRIALS


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("trained")
    list(make(folder, steps=2).fit())
    return folder / "step-00000002"


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("content", ["a pickle", "a tensor beyond the end", "zeros"])
def test_a_trainer_refuses_what_is_forged_and_stays_as_it_was(tmp_path, trained, part, content):
    trainer = make(tmp_path / "mine", steps=2)
    shutil.copytree(trained, tmp_path / "mine" / trained.name)
    forge(tmp_path / "mine" / trained.name, part, HOSTILE_FILES[content])
    before = {name: tensor.clone() for name, tensor in trainer.state.tensors()["model"].items()}
    with pytest.raises(CheckpointError, match=part):
        trainer.load(trainer.checkpoints.latest_valid()[0])
    after = trainer.state.tensors()["model"]
    assert all(torch.equal(after[name], before[name]) for name in before)
    assert trainer.step == 0
