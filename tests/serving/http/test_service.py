"""From a request to a job: classes, seeds, samplers, limits; and the command line for the same."""

import dataclasses

from iddm_cli.profiles.choices import GENERAL_SAMPLERS
from iddm_cli.serving.http.service import find_label
from tests.serving.conftest import make_model, serving

from .calls import generate, image_files


def test_an_order_is_one_of_the_sampler(client):
    answer = generate(client, sampler="unipc", order=3, seed=1).json()
    assert (answer["settings"]["order"], answer["settings"]["steps"]) == (3, 20)
    assert "--sampler unipc --steps 20 --time-grid trailing --order 3" in answer["command"]
    assert generate(client, sampler="unipc").json()["settings"]["order"] == 2
    assert generate(client, sampler="ddim").json()["settings"]["order"] is None
    for sampler, order, said in (("unipc", 4, "must be 2 to 3"), ("ddim", 2, "belongs to ipndm")):
        refused = generate(client, sampler=sampler, order=order)
        assert refused.status_code == 422
        assert said in refused.json()["error"]["message"]


def test_a_request_may_have_its_own_time_grid(client):
    answer = generate(client, time_grid="karras", seed=1).json()
    assert answer["settings"]["time_grid"] == "karras"
    assert "--time-grid karras" in answer["command"]
    default = generate(client, seed=1).json()
    assert default["settings"]["time_grid"] == "trailing"
    assert default["images"][0]["image"] != answer["images"][0]["image"]
    assert generate(client, time_grid="even").status_code == 422


def test_a_request_may_have_its_own_guidance_interval(client):
    answer = generate(client, guidance_interval=[0.25, 0.75]).json()
    assert answer["settings"]["guidance_interval"] == [0.25, 0.75]
    assert "--guidance-interval 0.25:0.75" in answer["command"]
    assert generate(client).json()["settings"]["guidance_interval"] == [0, 1]
    for interval in ([0.8, 0.2], [0, 2], [0.5], "0:1"):
        refused = generate(client, guidance_interval=interval)
        assert refused.status_code == 422
        assert "guidance_interval" in refused.json()["error"]["message"]
    (info, _) = client.get("/v1/models").json()["data"]
    assert (info["precision"], info["defaults"]["guidance_interval"]) == ("fp32", [0, 1])


def test_a_network_with_guidance_inside_takes_no_scale():
    reason = "guidance 3 is folded into this distilled network"
    inside = dataclasses.replace(make_model(guidance=1.0), no_guidance=reason)
    with serving(inside) as own, own.client() as client:
        (info,) = client.get("/v1/models").json()["data"]
        assert not info["takes_guidance"]
        assert image_files(generate(client)) == image_files(generate(client, guidance=1))
        for scale in (3, 0, 1.5):
            refused = generate(client, guidance=scale)
            assert refused.status_code == 422
            error = refused.json()["error"]
            assert error["code"] == "no_guidance"
            assert error["message"] == f"guidance: {reason}; leave it out."


def test_a_request_may_ask_for_own_noise_and_old_requests_get_the_same_as_before(client):
    old, own = (generate(client, **{"class": 2}, **more) for more in ({}, {"noise": "own"}))
    assert "noise" not in old.json()["settings"]
    assert "--same-noise" in old.json()["command"]
    assert own.json()["settings"]["noise"] == "own"
    assert "--same-noise" not in own.json()["command"]
    assert image_files(old) != image_files(own)
    assert generate(client, noise="other").status_code == 422
    (_, plain) = client.get("/v1/models").json()["data"]
    answer = client.post("/v1/images", json={"model": plain["id"], "seed": 1, "noise": "own"})
    assert "noise" not in answer.json()["settings"], "without classes there is one rule"
    assert "--same-noise" not in answer.json()["command"]


def test_a_class_is_given_by_name_or_index_and_a_name_takes_precedence(client):
    by_name, by_index, as_text = (
        image_files(generate(client, **{"class": c})) for c in ("dog", 1, "2")
    )
    assert by_name == by_index
    assert as_text == image_files(generate(client, **{"class": 2}))
    named = generate(client, **{"class": "1"}).json()
    assert named["images"][0]["class"] == "1", "the name of the third class"


def test_a_number_in_json_is_always_an_index():
    classes = ("cat", "dog", "1")
    assert [find_label(class_, classes) for class_ in (1, "1", "dog", 0)] == [1, 2, 1, 0]


def test_without_a_seed_the_server_chooses_one_and_returns_it(client):
    responses = [client.post("/v1/images", json={"class": 0}) for _ in "ab"]
    seeds = [response.json()["settings"]["seed"] for response in responses]
    assert seeds[0] != seeds[1]
    assert image_files(generate(client, seed=seeds[0])) == image_files(responses[0])


def test_another_sampler_takes_its_own_default_steps(client):
    assert generate(client).json()["settings"]["steps"] == 5, "the profile's"
    assert generate(client, sampler="dpmpp-2m").json()["settings"]["steps"] == 20


def test_default_steps_never_exceed_the_limit(model):
    many = dataclasses.replace(model, sampling=model.sampling.model_copy(update={"steps": 900}))
    with serving(many, max_steps=50) as own, own.client() as client:
        defaults = client.get("/v1/models").json()["data"][0]["defaults"]
        assert defaults["steps"] == 50
        usual = defaults["usual_steps"]
        assert list(usual) == list(GENERAL_SAMPLERS), "nothing is tuned to this model"
        assert (usual["ddim"], usual["ddpm"], usual["heun"]) == (20, 50, 21)
        assert generate(client).json()["settings"]["steps"] == 50
        assert generate(client, sampler="ddpm").json()["settings"]["steps"] == 50
        assert client.get("/v1/models/pets/thumbnails/0").status_code == 200
        assert generate(client, steps=51).status_code == 422
