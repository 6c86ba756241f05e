"""Who may use the server, and under which address it is reached."""

from types import SimpleNamespace

import pytest

from iddm_cli.errors import UsageError
from iddm_cli.serving.http.sockets import open_listener
from iddm_cli.workflows import serving
from iddm_cli.workflows.serving import (
    AccessOptions,
    build_access_policy,
    format_address,
    is_valid_token,
)
from tests.build.profiles import TINY, tiny_profile
from tests.workflows.guiding_files import write_models

TOKEN = "correct-horse-battery"


def policy(host="127.0.0.1", *, token=None, no_auth=False, allowed_hosts=()):
    return build_access_policy(AccessOptions(host, 8000, token, no_auth, allowed_hosts))


@pytest.mark.parametrize("name", ["fe80::1", "[FE80::1]"])
def test_an_address_may_be_allowed_with_brackets_or_without(name):
    allowed = policy(allowed_hosts=[name, "10.0.0.1", "Example.org"])
    assert all(map(allowed.allows_host, ("[fe80::1]:8000", "10.0.0.1", "example.org")))


def test_other_ip_addresses_are_allowed_only_where_other_machines_are():
    assert not policy().allows_host("192.168.0.7:8000")
    assert policy("0.0.0.0", token=TOKEN).allows_host("192.168.0.7:8000")
    assert not policy("0.0.0.0", token=TOKEN).allows_host("evil.example.org")


def test_other_machines_need_a_token_or_an_explicit_decision():
    with pytest.raises(UsageError, match="a token is needed"):
        policy("0.0.0.0")
    assert policy("0.0.0.0", token=TOKEN).token == TOKEN
    assert policy("0.0.0.0", no_auth=True).token is None
    assert policy("::1").token is None, "loopback"


def test_a_token_is_long_and_survives_a_header():
    assert is_valid_token(TOKEN)
    wrong = ("", "fifteen-letters", TOKEN + "\n", " " + TOKEN, TOKEN + "é")
    assert not any(map(is_valid_token, wrong))


def test_a_weaker_model_guides_what_is_served(tmp_path, monkeypatch):
    path, weak = write_models(tmp_path)
    served = []
    monkeypatch.setattr(serving, "answer_requests", lambda models, *rest: served.extend(models))
    access = AccessOptions("127.0.0.1", 0, None, False, ())
    given = {"--sampler sampling.sampler": None, "--precision sampling.precision": "fp32"}
    limits = {"max_batch": 1, "max_queue": 0}
    serving.serve_models([str(path)], None, given, access, **limits, guide_with=str(weak))
    (model,) = served
    assert model.guide_with == "weak.safetensors@500"
    assert model.batch_weaker is not None
    with pytest.raises(UsageError, match=r"--guide-with @500: .* cannot guide itself"):
        serving.serve_models([str(path)], None, given, access, **limits, guide_with="@500")


def test_a_run_that_upscales_is_served_unless_a_weaker_one_is_to_guide_it(monkeypatch):
    source = SimpleNamespace(reference="large")
    profile = tiny_profile(model={**TINY, "condition": "low_resolution"})
    monkeypatch.setattr(serving, "load_sampling_profile", lambda *_, **__: profile)
    assert serving.load_served_profile(source, {}, None) is profile
    with pytest.raises(UsageError, match=r"--guide-with @5: large upscales images"):
        serving.load_served_profile(source, {}, "@5")


def test_an_autoencoder_is_not_served(monkeypatch):
    profile = SimpleNamespace(model=SimpleNamespace(is_autoencoder=True))
    monkeypatch.setattr(serving, "load_sampling_profile", lambda *_, **__: profile)
    with pytest.raises(UsageError, match="ae is an autoencoder"):
        serving.load_served_profile(SimpleNamespace(reference="ae"), {}, None)


def test_the_address_has_the_token_in_its_fragment():
    with open_listener("127.0.0.1", 0) as listener:
        port = listener.getsockname()[1]
        assert format_address(listener, None) == f"http://127.0.0.1:{port}/"
        assert format_address(listener, "a+b&c").endswith("/#token=a%2Bb%26c")
