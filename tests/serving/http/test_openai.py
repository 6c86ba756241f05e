"""OpenAI's own client, against the server."""

import base64
import io

import openai
import pytest
from PIL import Image

from iddm_cli.serving.http.security import AccessPolicy
from tests.serving.conftest import serving


@pytest.fixture
def api(server):
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key="unused", max_retries=0) as api:
        yield api


def test_it_generates_the_same_images_as_our_own_interface(api, client):
    answer = api.images.generate(
        model="pets", prompt="dog", n=2, size="16x8", extra_body={"seed": 5, "steps": 4}
    )
    images = [base64.b64decode(item.b64_json) for item in answer.data]
    assert Image.open(io.BytesIO(images[1])).size == (16, 8)
    query = {"class": "dog", "count": 2, "seed": 5, "steps": 4}
    own = client.post("/v1/images", json=query).json()["images"]
    assert images == [base64.b64decode(image["image"]) for image in own]


def test_it_lists_models(api):
    assert [model.id for model in api.models.list()] == ["pets", "plain"]


def test_invalid_requests_are_rejected(api):
    with pytest.raises(openai.NotFoundError, match="Did you mean pets"):
        api.images.generate(model="pet", prompt="dog")
    with pytest.raises(openai.UnprocessableEntityError, match="no such class"):
        api.images.generate(model="pets", prompt="a painting of a dog")
    with pytest.raises(openai.UnprocessableEntityError, match="16x8"):
        api.images.generate(model="pets", prompt="dog", size="1024x1024")
    with pytest.raises(openai.UnprocessableEntityError, match="response_format"):
        api.images.generate(model="pets", prompt="dog", response_format="url")


def test_a_model_without_classes_ignores_the_prompt(api):
    answer = api.images.generate(model="plain", prompt="anything at all")
    assert len(answer.data) == 1


def test_the_api_key_is_the_token(model):
    def generate(key: str) -> None:
        with openai.OpenAI(base_url=f"{own.url}/v1", api_key=key, max_retries=0) as api:
            assert api.images.generate(model="pets", prompt="cat").data

    with serving(model, policy=AccessPolicy(token="a-token-long-enough")) as own:
        generate("a-token-long-enough")
        with pytest.raises(openai.AuthenticationError):
            generate("another")
