"""A request's settings override the profile's; another sampler has its own number of steps."""

from dataclasses import replace

import pytest

from iddm_cli.errors import UsageError
from tests.serving.conftest import make_model
from tests.tuned import make_tables, make_tuned


def test_what_a_request_leaves_out_comes_from_the_profile():
    model = make_model(sampler="ddim", steps=5, eta=0.5)
    settings = model.resolve_sampling("ddim", None, 3.0)
    assert (settings.steps, settings.eta, settings.guidance) == (5, 0.5, 3.0)


def test_another_sampler_does_not_inherit_steps_and_eta():
    model = make_model(sampler="ddim", steps=5, eta=0.5)
    settings = model.resolve_sampling("dpmpp-2m", None, None)
    assert (settings.sampler, settings.steps, settings.eta) == ("dpmpp-2m", None, 0.0)
    assert settings.guidance == model.sampling.guidance


def test_the_metadata_names_what_was_sampled(model):
    settings = model.resolve_sampling("dpmpp-2m", 7, 1.5)
    metadata = model.sampling_metadata(settings, model.plan_samples(settings, label=1, seed=9))
    assert (metadata.run, metadata.step, metadata.seed) == ("pets", 500, 9)
    assert (metadata.sampler, metadata.steps, metadata.guidance) == ("dpmpp-2m", 7, 1.5)


def test_a_plan_has_the_steps_of_its_sampler(model):
    settings = model.resolve_sampling("ddim", 4, None)
    plan = model.plan_samples(settings, label=2, seed=1)
    assert len(plan.table) == 4
    assert (plan.label, plan.seed, plan.guidance) == (2, 1, 2.0)


def test_a_tuned_sampler_is_offered_where_the_model_has_tables():
    plain = make_model()
    assert "tuned" not in plain.samplers
    with pytest.raises(UsageError, match="no tuned sampler"):
        plain.resolve_sampling("tuned", None, None)
    model = replace(plain, tables=make_tables(4, 8))
    assert "tuned" in model.samplers
    assert model.usual_steps("tuned") == 8
    assert model.resolve_sampling("tuned", None, None).steps == 8
    settings = model.resolve_sampling("tuned", 4, None)
    plan = model.plan_samples(settings, label=1, seed=3)
    assert plan.table.times == make_tuned(4).times
    assert model.sampling_metadata(settings, plan).sampler == "tuned"
    with pytest.raises(UsageError, match="only for 4, 8"):
        model.resolve_sampling("tuned", 5, None)
