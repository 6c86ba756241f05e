"""Tables that are used with other weights or guidance than they were tuned with."""

from types import SimpleNamespace

import pytest

from iddm_cli.errors import RunError
from iddm_cli.profiles.writing import dump_profile
from iddm_cli.records.tuned_tables import FILE_NAME
from iddm_cli.runs.registry import create_run
from iddm_cli.runs.run import encode_json
from iddm_cli.workflows.models import RunModel, find_model
from iddm_cli.workflows.sampling.sampling_profile import load_sampling_profile
from iddm_cli.workflows.tuning.tuned_models import (
    list_table_facts,
    read_optional_tables,
    select_tables,
)
from tests.build.profiles import tiny_profile
from tests.tuned import make_tables, make_tuned


def given(sampler: str, steps: int | None = None) -> dict[str, object]:
    return {"--sampler sampling.sampler": sampler, "--steps sampling.steps": steps}


@pytest.fixture
def tuned_run(tmp_path) -> RunModel:
    files = {
        "profile.yaml": dump_profile(tiny_profile(sampling={"guidance": 2.0})).encode(),
        "dataset.json": encode_json({"classes": {"cat": 1, "dog": 2}}),
        "run.json": encode_json({"updated": "2026"}),
    }
    create_run(tmp_path / "runs", "pets", files)
    model = find_model(tmp_path / "runs", "pets")
    model.run.write_json(FILE_NAME, make_tables(5, 8).to_json())
    return model


@pytest.mark.parametrize(
    ("step", "guidance", "warning"),
    [(500, 2.0, ""), (900, 2.0, "step 500, not 900"), (500, 3.0, "guidance 2, not 3")],
)
def test_other_weights_or_guidance_than_it_was_tuned_with_warn_once(
    tuned_run, capsys, step, guidance, warning
):
    options = given("tuned", 5) | {"--guidance sampling.guidance": guidance}
    profile = load_sampling_profile(tuned_run, options)
    tables = select_tables(tuned_run, profile, SimpleNamespace(step=step))
    assert tables.calls == [5, 8]
    printed = capsys.readouterr().err
    assert printed.count("warning:") == bool(warning)
    assert warning in printed
    select_tables(tuned_run, profile)
    assert not capsys.readouterr().err


def test_other_samplers_have_no_tables(tuned_run):
    profile = load_sampling_profile(tuned_run, given("ddpm"))
    assert not select_tables(tuned_run, profile, SimpleNamespace(step=1))


@pytest.mark.parametrize("content", ["{", "[]", '{"format": 9}', '{"format": 1, "tables": [{}]}'])
def test_damaged_tables_disturb_only_what_samples_with_them(tuned_run, capsys, content):
    (tuned_run.run.path / FILE_NAME).write_text(content)
    profile = load_sampling_profile(tuned_run, given("ddpm"))
    assert not select_tables(tuned_run, profile, SimpleNamespace(step=1))
    assert not read_optional_tables(tuned_run, profile, "")
    assert not capsys.readouterr().err
    assert not read_optional_tables(tuned_run, profile, "the file holds none")
    said = " ".join(capsys.readouterr().err.split())
    assert said.count("warning:") == 1
    assert "the file holds none. Make it again: iddm tune-sampler pets" in said
    changed = profile.sampling.model_copy(update={"sampler": "tuned"})
    profile = profile.model_copy(update={"sampling": changed})
    for use in (select_tables, lambda *given: read_optional_tables(*given, "")):
        with pytest.raises(RunError, match="is damaged") as refused:
            use(tuned_run, profile)
        assert refused.value.hint == "Make it again: iddm tune-sampler pets"


def test_what_images_depend_on_includes_the_table(tuned_run):
    assert list_table_facts(tuned_run, load_sampling_profile(tuned_run, given("ddpm"))) == []
    profile = load_sampling_profile(tuned_run, given("tuned", 5))
    before = list_table_facts(tuned_run, profile)
    other = make_tuned(5, coefficients=[*make_tuned(5).coefficients[:4], [0.1, 1, 0, 0, 0]])
    tuned_run.run.write_json(FILE_NAME, make_tables().replace([other]).to_json())
    assert list_table_facts(tuned_run, profile) != before
