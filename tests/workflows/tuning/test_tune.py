"""Tuning a run: what can be asked for, and what is left in the run's folder."""

import json
from itertools import pairwise

import pytest
import torch

from iddm_cli.build.networks import build_denoiser
from iddm_cli.engine.image_generator import ImageGenerator
from iddm_cli.errors import RunError, UsageError
from iddm_cli.profiles.writing import dump_profile
from iddm_cli.records.tuned_tables import FILE_NAME
from iddm_cli.runs.locks import RunLock
from iddm_cli.runs.registry import create_run
from iddm_cli.runs.run import encode_json
from iddm_cli.workflows.models import find_model
from iddm_cli.workflows.tuning import tune
from iddm_cli.workflows.tuning.tune import TuneRequest, parse_calls
from tests.build.profiles import tiny_profile
from tests.tuned import make_tables, make_tuned

PROFILE = tiny_profile(
    data={"channels": 1, "image_size": 4},
    sampling={"guidance": 2.0, "guidance_interval": [0.2, 0.9]},
)


@pytest.fixture
def runs(tmp_path):
    files = {
        "profile.yaml": dump_profile(PROFILE).encode(),
        "dataset.json": encode_json({"classes": {"cat": 1, "dog": 2}}),
        "run.json": encode_json({"updated": "2026"}),
    }
    create_run(tmp_path / "runs", "pets", files)
    return tmp_path / "runs"


@pytest.fixture
def run(runs):
    return find_model(runs, "pets")


@pytest.mark.parametrize(
    ("text", "calls"), [("5", [5]), ("10, 5,6,", [5, 6, 10]), ("3,3,2", [2, 3])]
)
def test_calls_are_numbers_between_commas(text, calls):
    assert parse_calls(text) == calls


@pytest.mark.parametrize("text", ["", "five", "5;6", "-5", "5.0", "1", "0", "5,1", "123456", "²"])
def test_other_calls_are_refused(text):
    with pytest.raises(UsageError, match="--calls"):
        parse_calls(text)


def test_too_many_numbers_of_calls_are_refused():
    assert len(parse_calls(",".join(map(str, range(2, 22))))) == 20
    with pytest.raises(UsageError, match="these are 21"):
        parse_calls(",".join(map(str, range(2, 23))))


@pytest.mark.parametrize(("timesteps", "most"), [(1000, 20), (30, 15), (7, 3)])
def test_half_of_the_teachers_calls_are_the_most(timesteps, most):
    tune.check_calls([2, most], timesteps)
    with pytest.raises(UsageError, match=f"--calls {most + 1} is more than half") as error:
        tune.check_calls([2, most + 1], timesteps)
    assert f"up to {most} calls" in error.value.hint
    with pytest.raises(UsageError) as error:
        tune.check_calls([2], 3)
    assert "too short" in error.value.hint


def test_a_file_is_no_run(file):
    with pytest.raises(UsageError, match="exported file") as error:
        tune.tune_run(TuneRequest(str(file), [5]), as_json=False)
    assert "iddm tune-sampler steel" in error.value.hint


def test_large_images_have_fewer_noises():
    assert tune.count_noises(256, (1, 32, 32)) == 256
    assert 32 <= tune.count_noises(256, (3, 128, 128)) < 256
    assert tune.count_noises(256, (3, 4096, 4096)) == 32
    assert tune.count_noises(16, (3, 4096, 4096)) == 16


def build_generator() -> ImageGenerator:
    denoiser = build_denoiser(PROFILE, 2).eval().requires_grad_(False)
    random = torch.Generator().manual_seed(0)
    for parameter in denoiser.parameters():
        parameter.normal_(std=0.12, generator=random)
    return ImageGenerator(denoiser, PROFILE.sampling, num_classes=2, shape=PROFILE.data.shape)


def test_classes_are_spread_evenly_and_noises_are_no_images_own():
    noise, label = tune.sample_noises(build_generator(), 256, seed=3)
    assert noise.shape == (256, 1, 4, 4)
    assert label.bincount().tolist() == [128, 128]
    assert label[-32:].bincount().tolist() == [16, 16], "those that are held out, too"
    assert not torch.equal(noise, tune.sample_noises(build_generator(), 256, seed=4)[0])


def test_the_denoiser_reports_each_batch_and_changes_nothing():
    generator, reports = build_generator(), []
    denoiser = tune._BatchedDenoiser(generator, 3, lambda *report: reports.append(report))
    denoiser.begin("tuning", 7)
    x_t, label = torch.randn(7, 1, 4, 4), torch.arange(7) % 2
    for time in (500, 990):  # inside the interval, and outside
        t = torch.full_like(label, time)
        with torch.inference_mode():
            found, wanted = denoiser(x_t, t, label), generator.denoise(x_t, t, label)
        assert torch.allclose(found, wanted, atol=1e-5)
    assert [done for _, done, _ in reports] == [0, 3, 6, 7, 7, 7, 7]


def save_weights(run, monkeypatch):
    """Give the run weights without training it, and a teacher of few calls."""
    generator = build_generator()
    monkeypatch.setattr(tune, "TEACHER_CALLS", 12)
    monkeypatch.setattr(
        "iddm_cli.workflows.sampling.sampling_precision.build_sampling_generator",
        lambda *_, **__: generator,
    )
    weights = type("Weights", (), {"step": 70})
    monkeypatch.setattr(type(run), "open_weights", lambda *_: weights)


def test_a_run_is_tuned_and_keeps_its_other_tables(runs, run, monkeypatch, capsys):
    save_weights(run, monkeypatch)
    run.run.write_json(FILE_NAME, make_tables(3, 9).to_json())
    tune.tune_run(TuneRequest("pets", [3, 5], noises=16, runs_dir=runs), as_json=True)
    document = json.loads(capsys.readouterr().out)
    assert [row["calls"] for row in document["tables"]] == [3, 5]
    tables = find_model(runs, "pets").read_tuned_tables()
    assert tables.calls == [3, 5, 9]
    assert tables.find(9) == make_tuned(9)
    assert tables.find(3).model_dump() == document["tables"][0]
    table = tables.find(5)
    assert (table.step, table.guidance, table.guidance_interval) == (70, 2.0, [0.2, 0.9])
    assert (table.noises, table.teacher_calls, table.untuned) == (16, 12, "dpmpp-2m")
    assert table.times[0] == 999
    assert all(later < earlier for earlier, later in pairwise(table.times))
    assert table.error <= table.untuned_error
    assert run.run.lock.is_free()


def test_the_same_command_finds_the_same_tables(runs, run, monkeypatch, capsys):
    save_weights(run, monkeypatch)
    contents = []
    for seed in (1, 1, 2):
        tune.tune_run(TuneRequest("pets", [4], noises=16, seed=seed, runs_dir=runs), as_json=False)
        contents.append((run.run.path / FILE_NAME).read_bytes())
    assert contents[0] == contents[1] != contents[2]
    assert "error tuned" in capsys.readouterr().out


def test_ctrl_c_leaves_the_old_tables(runs, run, monkeypatch):
    save_weights(run, monkeypatch)
    run.run.write_json(FILE_NAME, make_tables(3).to_json())
    before = (run.run.path / FILE_NAME).read_bytes()

    def interrupt(*_):
        with pytest.raises(RunError, match="pets is being tuned"), RunLock(run.run.path).hold():
            pass
        raise KeyboardInterrupt

    monkeypatch.setattr(tune, "tune_table", interrupt)
    with pytest.raises(KeyboardInterrupt):
        tune.tune_run(TuneRequest("pets", [3], noises=16, runs_dir=runs), as_json=False)
    assert (run.run.path / FILE_NAME).read_bytes() == before
    assert run.run.lock.is_free()


def test_a_damaged_file_is_replaced(run, capsys):
    (run.run.path / FILE_NAME).write_text("{")
    assert tune.write_tables(run, [make_tuned(4)]).calls == [4]
    assert "iddm replaces it" in capsys.readouterr().err
    assert run.read_tuned_tables().calls == [4]


def test_a_file_that_cannot_be_written_is_an_error(run, monkeypatch):
    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(type(run.run), "write_json", refuse)
    with pytest.raises(RunError, match="cannot be written: Permission denied"):
        tune.write_tables(run, [make_tuned(4)])


def test_a_run_that_is_being_trained_is_left_alone(runs, run, monkeypatch):
    def taken(*_, **__):
        raise RunError("run pets is being trained by process 7")

    monkeypatch.setattr(type(run.run.lock), "hold", taken)
    with pytest.raises(RunError, match="being trained"):
        tune.tune_run(TuneRequest("pets", [3], noises=16, runs_dir=runs), as_json=False)


def test_a_run_without_a_checkpoint_is_refused(runs):
    with pytest.raises(RunError, match="checkpoint"):
        tune.tune_run(TuneRequest("pets", [3], noises=16, runs_dir=runs), as_json=False)
