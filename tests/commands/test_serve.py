"""`iddm serve` hands its options to one workflow, and exits with the number of the signal."""

import pytest
import typer

from iddm_cli.commands import serve
from iddm_cli.workflows import serving


@pytest.fixture
def served(monkeypatch):
    calls = []

    def serve_models(*args, **options):
        calls.append((args, options))
        return 15

    monkeypatch.setattr(serving, "serve_models", serve_models)
    return calls


def test_the_exit_code_is_128_and_the_signal(served):
    with pytest.raises(typer.Exit) as exit_:
        serve.serve()
    assert exit_.value.exit_code == 143


@pytest.mark.parametrize(("option", "token"), [(None, "of-the-environment"), ("given", "given")])
def test_the_token_comes_from_the_option_else_from_the_environment(
    served, monkeypatch, option, token
):
    monkeypatch.setenv("IDDM_TOKEN", "of-the-environment")
    with pytest.raises(typer.Exit):
        serve.serve(token=option, queue=5)
    ((references, _, _, access), limits) = served[0]
    assert references == [None]
    assert access.token == token
    limits_given = {"max_batch": 32, "max_queue": 5, "checkpoint": None, "guide_with": None}
    assert limits == limits_given
