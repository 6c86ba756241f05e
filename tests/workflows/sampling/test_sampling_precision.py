"""sampling.precision: auto is the fast precision where it is close to fp32; it is recorded."""

from types import SimpleNamespace

import pytest
import torch

from iddm_cli.engine import device as devices
from iddm_cli.engine.reduced_precision import precision_comparison as comparing
from iddm_cli.engine.reduced_precision.precision_comparison import PrecisionComparison
from iddm_cli.profiles.profile import ResolvedProfile
from iddm_cli.profiles.settings import SamplingSettings
from iddm_cli.workflows.sampling import sampling_precision
from iddm_cli.workflows.sampling.sampling_precision import (
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


def model_of(profile: ResolvedProfile) -> SimpleNamespace:
    """Return a model of which nothing but its profile, classes and values is known."""
    return SimpleNamespace(
        classes=("cat", "dog"),
        values=SimpleNamespace(levels=255),
        load_profile=lambda _: profile,
    )


def facts_of(profile: ResolvedProfile, digest: str = "abc") -> list[object]:
    return list_facts(model_of(profile), profile, Source(digest))


class Generator:
    """An image generator that knows its settings."""

    def sampling_with(self, settings: SamplingSettings) -> SamplingSettings:
        return settings


class Measured:
    """What takes the place of a comparison, how often it was made, and with which settings."""

    def __init__(self) -> None:
        self.result = CLOSE
        self.count = 0

    def __call__(self, settings: SamplingSettings, precision: str) -> PrecisionComparison:
        assert precision == "bf16"
        self.count += 1
        self.settings = settings
        return self.result


@pytest.fixture
def measured(tmp_path, monkeypatch) -> Measured:
    """A device that is fast in bf16, and an empty cache."""
    measured = Measured()
    monkeypatch.setenv("IDDM_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr(comparing, "compare_with_fp32", measured)
    monkeypatch.setattr(devices, "_cpu_computes_bf16", lambda: True)
    return measured


def resolve(digest: str = "abc", own: dict[str, object] | None = None, **sampling) -> str:
    """Return the precision for some settings of a run whose own are others."""
    stored = profile_of(**(own or {}))
    return resolve_precision(
        model_of(stored), profile_of(**sampling), Source(digest), CPU, Generator
    )


def test_whatever_is_asked_for_the_decision_is_made_once_and_is_the_same(measured):
    """So that an image has the same bits in a small command before a large one."""
    asked = ({}, {"guidance": 3.0}, {"sampler": "ddpm"}, {"steps": 250}, {"batch_size": 3})
    assert {resolve(**one) for one in asked} == {"bf16"}
    assert measured.count == 1
    assert resolve("other", weights="raw") == "bf16"
    assert measured.settings.weights == "raw"


def test_the_runs_own_settings_are_compared_in_few_calls(measured):
    for number, (own, sampler, steps) in enumerate((
        ({"guidance": 2.5, "clip": False}, "ddim", 20),
        ({"sampler": "ddpm", "guidance": 1.0}, "ddpm", 20),
        ({"sampler": "consistency", "steps": 2}, "consistency", 2),
        ({"sampler": "tuned"}, "dpmpp-2m", 20),
        ({"sampler": "tuned", "steps": 8}, "dpmpp-2m", 20),
    ), start=1):  # fmt: skip
        resolve(digest=str(number), own=own, guidance=9.0, steps=77)
        assert (measured.settings.sampler, measured.settings.steps) == (sampler, steps)
        assert measured.settings.guidance == own.get("guidance", 3.0)
        assert measured.count == number


def test_images_that_are_not_close_stay_in_fp32_and_that_is_recorded(measured):
    measured.result = PrecisionComparison(2.5, True)
    assert resolve() == resolve() == "fp32"
    measured.result = PrecisionComparison(0.1, False)
    assert resolve(digest="other") == "fp32"
    assert measured.count == 2


def test_a_precision_that_is_named_is_used_and_not_measured(measured):
    for name in ("fp32", "bf16", "fp16"):
        assert resolve(precision=name) == name
    assert measured.count == 0


def test_a_device_that_is_not_fast_in_another_precision_uses_fp32(measured, monkeypatch):
    monkeypatch.setattr(devices, "_cpu_computes_bf16", lambda: False)
    assert resolve() == "fp32"
    assert measured.count == 0


def test_a_record_belongs_to_weights_and_the_runs_own_settings(measured, monkeypatch):
    base = {"guidance": 2.0}
    resolve(own=base)
    for other in ({"steps": 7}, {"sampler": "dpmpp-2m"}, {"guidance": 3.0}, {"clip": False},
                  {"guidance_interval": [0.2, 0.8]}, {"eta": 0.5}):  # fmt: skip
        measured.count = 0
        resolve(own=base | other)
        assert measured.count == 1, other
    for same in ({"batch_size": 3}, {"steps": 20}):
        measured.count = 0
        resolve(own=base | same)
        assert measured.count == 0, same
    resolve(digest="other weights", own=base)
    assert measured.count == 1
    monkeypatch.setattr(torch, "__version__", "9.9")
    resolve(own=base)
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
    assert resolve() == "bf16"
    assert read_record(path) == CLOSE
    assert measured.count == 1


def test_without_a_cache_each_command_measures(measured, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("not a folder")
    monkeypatch.setenv("IDDM_CACHE_DIR", str(tmp_path / "file"))
    assert resolve() == resolve() == "bf16"
    monkeypatch.setattr(sampling_precision, "find_record", lambda *_: None)
    assert resolve() == "bf16"
    assert measured.count == 3
