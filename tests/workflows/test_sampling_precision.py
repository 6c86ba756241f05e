"""sampling.precision: auto is the fast precision where it is close to fp32; it is recorded."""

from types import SimpleNamespace

import pytest
import torch

from iddm_cli.engine import device as devices
from iddm_cli.engine.reduced_precision import precision_comparison as comparing
from iddm_cli.engine.reduced_precision.precision_comparison import PrecisionComparison
from iddm_cli.profiles.profile import ResolvedProfile
from iddm_cli.workflows import sampling_precision
from iddm_cli.workflows.sampling_precision import (
    FEWEST_IMAGES,
    MOST_SERVED_STEPS,
    count_served_images,
    find_record,
    list_facts,
    read_record,
    resolve_precision,
    write_record,
)

CPU = torch.device("cpu")
CLOSE = PrecisionComparison(0.25, True)


class Source:
    step = 500

    def __init__(self, digest: str = "abc") -> None:
        self.content = digest

    def digest(self, _part: str) -> str:
        return self.content


def profile_of(**sampling) -> ResolvedProfile:
    return ResolvedProfile.model_validate({"data": {"channels": 1}, "sampling": sampling})


def facts_of(profile: ResolvedProfile, digest: str = "abc") -> list[object]:
    model = SimpleNamespace(classes=("cat", "dog"), values=SimpleNamespace(levels=255))
    return list_facts(model, profile, Source(digest))


class Measured:
    """What takes the place of a comparison, and how often it was made."""

    def __init__(self) -> None:
        self.result = CLOSE
        self.count = 0

    def __call__(self, generator, precision: str) -> PrecisionComparison:
        assert (generator, precision) == ("a generator", "bf16")
        self.count += 1
        return self.result


@pytest.fixture
def measured(tmp_path, monkeypatch) -> Measured:
    """A device that is fast in bf16, and an empty cache."""
    measured = Measured()
    monkeypatch.setenv("IDDM_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr(comparing, "compare_with_fp32", measured)
    monkeypatch.setattr(devices, "_cpu_computes_bf16", lambda: True)
    return measured


def resolve(images: int, digest: str = "abc", **sampling) -> str:
    profile = profile_of(**sampling)
    facts = facts_of(profile, digest)
    return resolve_precision(profile, CPU, facts, lambda: "a generator", images=images)


def test_many_images_are_worth_a_comparison_and_few_use_its_record(measured):
    assert resolve(FEWEST_IMAGES - 1) == "fp32"
    assert measured.count == 0
    assert resolve(FEWEST_IMAGES) == "bf16"
    assert resolve(1) == resolve(1000) == "bf16"
    assert measured.count == 1


def test_images_that_are_not_close_stay_in_fp32_and_that_is_recorded(measured):
    measured.result = PrecisionComparison(2.5, True)
    assert resolve(100) == resolve(100) == "fp32"
    measured.result = PrecisionComparison(0.1, False)
    assert resolve(100, digest="other") == "fp32"
    assert measured.count == 2


def test_a_precision_that_is_named_is_used_and_not_measured(measured):
    for name in ("fp32", "bf16", "fp16"):
        assert resolve(1000, precision=name) == name
    assert measured.count == 0


def test_a_device_that_is_not_fast_in_another_precision_uses_fp32(measured, monkeypatch):
    monkeypatch.setattr(devices, "_cpu_computes_bf16", lambda: False)
    assert resolve(1000) == "fp32"
    assert measured.count == 0


def test_a_record_belongs_to_weights_and_sampler_settings(measured, monkeypatch):
    base = {"guidance": 2.0}
    resolve(100, **base)
    for other in ({"steps": 7}, {"sampler": "dpmpp-2m"}, {"guidance": 3.0}, {"clip": False},
                  {"guidance_interval": [0.2, 0.8]}, {"eta": 0.5}):  # fmt: skip
        measured.count = 0
        resolve(100, **(base | other))
        assert measured.count == 1, other
    for same in ({"batch_size": 3}, {"steps": 20}):
        measured.count = 0
        resolve(100, **(base | same))
        assert measured.count == 0, same
    resolve(100, digest="other weights", **base)
    assert measured.count == 1
    monkeypatch.setattr(torch, "__version__", "9.9")
    resolve(100, **base)
    assert measured.count == 2


@pytest.mark.parametrize(
    "content",
    [b"", b"[]", b"{", b'{"difference": 0.1}', b'{"difference": "x", "is_invariant": true}',
     b'{"difference": 0.1, "is_invariant": 7}',
     b'{"difference": 0.1, "is_invariant": true, "a": 1}'],
)  # fmt: skip
def test_a_damaged_record_is_measured_again(measured, content):
    path = find_record(facts_of(profile_of()), CPU, "bf16")
    write_record(path, CLOSE)
    assert read_record(path) == CLOSE
    path.write_bytes(content)
    assert read_record(path) is None
    assert resolve(100) == "bf16"
    assert read_record(path) == CLOSE
    assert measured.count == 1


def test_without_a_cache_each_command_measures(measured, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("not a folder")
    monkeypatch.setenv("IDDM_CACHE_DIR", str(tmp_path / "file"))
    assert resolve(100) == resolve(100) == "bf16"
    monkeypatch.setattr(sampling_precision, "find_record", lambda *_: None)
    assert resolve(100) == "bf16"
    assert measured.count == 3


def test_a_server_compares_unless_that_would_take_long():
    assert count_served_images(profile_of()) == FEWEST_IMAGES
    assert count_served_images(profile_of(steps=MOST_SERVED_STEPS)) == FEWEST_IMAGES
    assert count_served_images(profile_of(sampler="ddpm")) < FEWEST_IMAGES
