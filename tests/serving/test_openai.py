"""The real client of OpenAI, against the server."""

import base64
import io

import openai
import pytest
from PIL import Image

from iddm_cli.serving.http.security import AccessPolicy

from .conftest import serving


@pytest.fixture
def api(running):
    with openai.OpenAI(base_url=f"{running.url}/v1", api_key="unused", max_retries=0) as api:
        yield api


def test_it_draws(api, client):
    answer = api.images.generate(
        model="pets", prompt="dog", n=2, size="16x8", extra_body={"seed": 5, "steps": 4}
    )
    pictures = [base64.b64decode(item.b64_json) for item in answer.data]
    assert Image.open(io.BytesIO(pictures[1])).size == (16, 8)
    asked = {"class": "dog", "count": 2, "seed": 5, "steps": 4}
    own = client.post("/v1/images", json=asked).json()["images"]
    assert pictures == [base64.b64decode(image["image"]) for image in own]


def test_it_lists_models(api):
    assert [model.id for model in api.models.list()] == ["pets", "plain"]


def test_what_there_is_not_is_refused(api):
    with pytest.raises(openai.NotFoundError, match="Did you mean pets"):
        api.images.generate(model="pet", prompt="dog")
    with pytest.raises(openai.UnprocessableEntityError, match="no such class"):
        api.images.generate(model="pets", prompt="a painting of a dog")
    with pytest.raises(openai.UnprocessableEntityError, match="16x8"):
        api.images.generate(model="pets", prompt="dog", size="1024x1024")
    with pytest.raises(openai.UnprocessableEntityError, match="response_format"):
        api.images.generate(model="pets", prompt="dog", response_format="url")


def test_the_prompt_is_of_no_account_without_classes(api):
    answer = api.images.generate(model="plain", prompt="anything at all")
    assert len(answer.data) == 1


def test_its_key_is_the_token(model):
    def ask(key: str) -> None:
        with openai.OpenAI(base_url=f"{own.url}/v1", api_key=key, max_retries=0) as api:
            assert api.images.generate(model="pets", prompt="cat").data

    with serving(model, policy=AccessPolicy(token="a-token-long-enough")) as own:
        ask("a-token-long-enough")
        with pytest.raises(openai.AuthenticationError):
            ask("another")
