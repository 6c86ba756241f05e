"""The profile that a trained model samples with."""

import pytest

from iddm_cli.errors import RunError, UsageError
from iddm_cli.records.tuned_tables import FILE_NAME
from iddm_cli.runs.run import encode_json
from iddm_cli.value_range import ValueRange
from iddm_cli.workflows.models import RunModel, find_model
from iddm_cli.workflows.sampling.sampling_profile import load_sampling_profile
from tests.tuned import make_tables


def given(sampler: str | None = None, steps: int | None = None) -> dict[str, object]:
    return {"--sampler sampling.sampler": sampler, "--steps sampling.steps": steps}


def test_settings_are_those_of_the_training_but_for_the_options(runs):
    model = find_model(runs, "pets")
    kept = load_sampling_profile(model, given()).sampling
    assert (kept.sampler, kept.steps, kept.eta) == ("ddim", 7, 0.5)
    assert load_sampling_profile(model, given(sampler="ddim")).sampling == kept
    assert load_sampling_profile(model, given(steps=3)).sampling.steps == 3


def test_another_sampler_drops_what_belongs_to_the_one_before(runs):
    model = find_model(runs, "pets")
    other = load_sampling_profile(model, given(sampler="ddpm")).sampling
    assert (other.sampler, other.steps, other.eta) == ("ddpm", None, 0.0)
    assert load_sampling_profile(model, given(sampler="ddpm", steps=9)).sampling.steps == 9


def test_a_range_for_other_channels_is_damage(runs):
    dataset = runs / "pets" / "dataset.json"
    values = ValueRange("uint16", (0.0, 0.0), (9.0, 9.0)).to_json()
    dataset.write_bytes(encode_json({"classes": {}, "values": values}))
    with pytest.raises(RunError, match="has 3 channels, and the range of values of 2"):
        load_sampling_profile(find_model(runs, "pets"), given())


@pytest.fixture
def tuned_run(runs) -> RunModel:
    model = find_model(runs, "pets")
    model.run.write_json(FILE_NAME, make_tables(5, 8).to_json())
    return model


def test_a_tuned_sampler_takes_the_calls_of_a_table(tuned_run):
    assert load_sampling_profile(tuned_run, given("tuned")).sampling.steps == 8
    assert load_sampling_profile(tuned_run, given("tuned", 5)).sampling.steps == 5
    with pytest.raises(UsageError, match="only for 5, 8") as error:
        load_sampling_profile(tuned_run, given("tuned", 6))
    assert "iddm tune-sampler pets --calls 6" in error.value.hint


def test_a_run_without_tables_says_how_to_make_them(runs, file):
    with pytest.raises(UsageError, match="no tuned sampler") as error:
        load_sampling_profile(find_model(runs, "pets"), given("tuned"))
    assert "iddm tune-sampler pets" in error.value.hint
    with pytest.raises(UsageError, match="no tuned sampler") as error:
        load_sampling_profile(find_model(runs, str(file)), given("tuned"))
    assert "before the export" in error.value.hint


def test_damaged_tables_are_trouble_only_where_they_are_used(tuned_run):
    (tuned_run.run.path / FILE_NAME).write_text('{"format": 1, "tables": [{}]}')
    assert load_sampling_profile(tuned_run, given("ddpm")).sampling.sampler == "ddpm"
    with pytest.raises(RunError, match=r"is damaged: tables\.0") as error:
        load_sampling_profile(tuned_run, given("tuned"))
    assert "iddm tune-sampler pets" in error.value.hint
