"""The HTTP interface, over a real socket."""

import base64
import dataclasses
import io
import json
import threading
import zipfile
from concurrent.futures import ThreadPoolExecutor

import pytest
from PIL import Image

from .conftest import make_model, serving, slowed


def draw(client, **asked):
    return client.post("/v1/images", json={"class": "cat", "seed": 3, **asked})


def files(answer) -> list[bytes]:
    assert answer.status_code == 200, answer.text
    return [base64.b64decode(image["image"]) for image in answer.json()["images"]]


def events(response) -> list[tuple[str, dict]]:
    blocks = "".join(response.iter_text()).split("\n\n")
    pairs = [block.removeprefix("event: ").split("\ndata: ") for block in blocks if "data" in block]
    return [(name, json.loads(data)) for name, data in pairs]


def test_pictures_say_how_they_were_made(client):
    answer = draw(client, count=2, sampler="dpmpp-2m", steps=4, guidance=1.5).json()
    first, second = answer["images"]
    assert (first["index"], second["index"]) == (0, 1)
    assert first["image"] != second["image"]
    with Image.open(io.BytesIO(base64.b64decode(second["image"]))) as image:
        assert image.size == (16, 8)
        notes = image.text
    assert notes["iddm:run"] == "pets"
    assert notes["iddm:class"] == "cat"
    assert [notes[f"iddm:{key}"] for key in ("seed", "index", "steps")] == ["3", "1", "4"]
    assert answer["command"] == (
        "iddm generate pets --class cat --count 2 --seed 3 --sampler dpmpp-2m --steps 4 "
        "--guidance 1.5 --checkpoint 500 --weights average"
    )


@pytest.mark.parametrize("guidance", [2, 0.1, 1.23456789, 1e-7])
def test_the_command_line_has_the_very_guidance(client, guidance):
    words = draw(client, guidance=guidance).json()["command"].split()
    assert float(words[words.index("--guidance") + 1]) == guidance


def test_the_command_line_for_a_class_named_all_draws_it_alone():
    with serving(make_model(classes=("cat", "all"))) as own, own.client() as client:
        command = client.post("/v1/images", json={"class": "all"}).json()["command"]
    assert "--class 1 --count" in command


@pytest.mark.parametrize(("form", "kind"), [("png", "PNG"), ("jpeg", "JPEG"), ("webp", "WEBP")])
def test_formats(client, form, kind):
    (file,) = files(draw(client, format=form))
    assert Image.open(io.BytesIO(file)).format == kind


def test_a_zip_holds_the_same_files_and_a_manifest(client):
    answer = draw(client, count=3, response="zip")
    assert answer.headers["content-type"] == "application/zip"
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        manifest = json.loads(archive.read("manifest.json"))
        assert [archive.read(name) for name in manifest["images"]] == files(draw(client, count=3))
    assert draw(client, count=3, response="zip").content[:100] == answer.content[:100]


def test_a_class_goes_by_name_or_index_and_a_name_goes_first(client):
    by_name, by_index, as_text = (files(draw(client, **{"class": c})) for c in ("dog", 1, "2"))
    assert by_name == by_index
    assert as_text == files(draw(client, **{"class": 2}))
    assert draw(client, **{"class": "1"}).json()["images"][0]["class"] == "1", "the third's name"


def test_without_a_seed_the_server_chooses_one_and_says_it(client):
    answers = [client.post("/v1/images", json={"class": 0}) for _ in "ab"]
    seeds = [answer.json()["settings"]["seed"] for answer in answers]
    assert seeds[0] != seeds[1]
    assert files(draw(client, seed=seeds[0])) == files(answers[0])


def test_another_sampler_takes_its_own_usual_steps(client):
    assert draw(client).json()["settings"]["steps"] == 5, "the profile's"
    assert draw(client, sampler="dpmpp-2m").json()["settings"]["steps"] == 20


def test_the_usual_steps_are_never_more_than_may_be_asked_for(model):
    many = dataclasses.replace(model, sampling=model.sampling.model_copy(update={"steps": 900}))
    with serving(many, steps=50) as own, own.client() as client:
        defaults = client.get("/v1/models").json()["data"][0]["defaults"]
        assert defaults["steps"] == 50
        assert defaults["usual_steps"] == {"ddim": 20, "ddpm": 50, "dpmpp-2m": 20}
        assert draw(client).json()["settings"]["steps"] == 50
        assert draw(client, sampler="ddpm").json()["settings"]["steps"] == 50
        assert client.get("/v1/models/pets/thumbnails/0").status_code == 200
        assert draw(client, steps=51).status_code == 422


def test_models_by_name(client):
    listed = client.get("/v1/models").json()["data"]
    assert [(model["id"], model["classes"]) for model in listed] == [
        ("pets", ["cat", "dog", "1"]),
        ("plain", []),
    ]
    assert listed[0]["image_size"] == [8, 16]
    assert listed[0]["exact"] is True
    plain = client.post("/v1/images", json={"model": "plain", "seed": 1})
    assert plain.json()["images"][0]["class"] == ""


@pytest.mark.parametrize(
    ("asked", "status", "said"),
    [
        ({"model": "pet"}, 404, "Did you mean pets?"),
        ({"class": "dgo"}, 422, "Did you mean dog?"),
        ({"class": 3}, 422, "no such class"),
        ({"class": None}, 422, "name one"),
        ({"model": "plain"}, 422, "without classes"),
        ({"count": 65}, 422, "at most 64"),
        ({"steps": 1001}, 422, "at most 1000"),
        ({"sampler": "euler"}, 422, "sampler"),
        ({"no_such_field": 1}, 422, "no_such_field"),
    ],
    ids=str,
)
def test_what_there_is_not_is_refused_with_a_sentence(client, asked, status, said):
    answer = draw(client, **asked)
    assert answer.status_code == status
    assert said in answer.json()["error"]["message"]


def test_a_stream_tells_place_progress_glimpses_pictures_and_the_end(client):
    asked = {"class": 0, "seed": 3, "count": 2, "steps": 200, "response": "stream"}
    with client.stream("POST", "/v1/images", json=asked) as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        told = events(response)
    names = [name for name, _ in told]
    assert names[0] == "job"
    assert names[-1] == "done"
    assert names.count("image") == 2
    steps = [content["step"] for name, content in told if name == "progress"]
    assert steps == sorted(steps)
    previews = [content for name, content in told if name == "preview"]
    assert previews
    assert Image.open(io.BytesIO(base64.b64decode(previews[0]["image"]))).size == (16, 8)
    plain = files(draw(client, steps=200, count=2))
    streamed = {c["index"]: base64.b64decode(c["image"]) for n, c in told if n == "image"}
    assert [streamed[0], streamed[1]] == plain


def test_the_same_bytes_alone_and_beside_fifty_others(client, running):
    """The issue's own words; the others are of other classes, samplers and numbers of steps."""
    wanted = {"class": 1, "seed": 5, "count": 2, "steps": 12}
    alone = files(draw(client, **wanted))
    samplers = ["ddim", "ddpm", "dpmpp-2m"]

    def other(number: int) -> int:
        asked = {"class": number % 3, "seed": number, "count": 1 + number % 3}
        asked |= {"sampler": samplers[number % 3], "steps": 9 + number // 4, "guidance": number / 9}
        with running.client() as own:
            return draw(own, **asked).status_code

    with ThreadPoolExecutor(50) as pool:
        others = [pool.submit(other, number) for number in range(50)]
        running.until(lambda: running.service.scheduler.count_jobs()["running"] > 10)
        among = [files(draw(client, **wanted)) for _ in range(3)]
        assert {future.result() for future in others} == {200}
    assert among == [alone] * 3


def test_jobs_can_be_looked_at_and_cancelled(client, model):
    with serving(slowed(model, 0.02), max_batch=1) as own, own.client() as one, own.client() as two:
        asked = {"class": 0, "steps": 1000, "response": "stream"}
        with one.stream("POST", "/v1/images", json=asked) as response:
            lines = response.iter_lines()
            next(lines)
            name = json.loads(next(lines).removeprefix("data: "))["id"]
            status = two.get(f"/v1/jobs/{name}").json()
            assert (status["state"], status["count"], status["steps"]) == ("running", 1, 1000)
            assert two.delete(f"/v1/jobs/{name}").json()["state"] == "cancelled"
            assert any("cancelled" in line for line in lines)
        assert two.get(f"/v1/jobs/{name}").json()["state"] == "cancelled"
    assert client.get("/v1/jobs/" + "0" * 24).status_code == 404


@pytest.mark.parametrize("response", ["base64", "stream"])
def test_a_client_that_goes_away_frees_its_place(model, response):
    with serving(slowed(model, 0.02), max_batch=1, queue=0) as own:
        with own.client() as gone, pytest.raises(Exception, match="timed out"):
            asked = {"class": 0, "steps": 1000, "response": response}
            with gone.stream("POST", "/v1/images", json=asked, timeout=0.3) as told:
                for _ in told.iter_lines():
                    assert own.service.scheduler.count_jobs()["running"] == 1
                    raise TimeoutError("timed out")
        own.until(lambda: own.service.scheduler.count_jobs() == {"running": 0, "waiting": 0}, 5)
        with own.client() as next_one:
            assert draw(next_one, steps=1).status_code == 200


def test_a_full_queue_says_when_to_ask_again(model):
    with serving(slowed(model, 0.02), max_batch=2, queue=2) as own:
        answers = []

        def ask() -> None:
            with own.client() as client:
                answers.append(draw(client, steps=20))

        threads = [threading.Thread(target=ask) for _ in range(12)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        codes = sorted(answer.status_code for answer in answers)
        assert codes == [200] * codes.count(200) + [429] * codes.count(429)
        assert codes.count(200) >= 4
        assert codes.count(429) >= 1
        refused = [answer for answer in answers if answer.status_code == 429]
        assert all(int(answer.headers["retry-after"]) >= 1 for answer in refused)
        assert len({bytes(files(a)[0]) for a in answers if a.status_code == 200}) == 1


def test_what_takes_too_long_is_ended(model):
    with serving(slowed(model, 0.05), seconds=0.3) as own, own.client() as client:
        assert draw(client, steps=1000).status_code == 504
        assert own.service.scheduler.count_jobs()["running"] == 0


def test_a_step_that_fails_is_told_to_the_owner_and_ends_nothing(model):
    class Broken:
        is_invariant, broken = True, True

        def __call__(self, *asked):
            if self.broken:
                raise RuntimeError("secret detail")
            return model.exact(*asked)

    broken = Broken()
    with serving(dataclasses.replace(model, exact=broken)) as own, own.client() as client:
        answer = draw(client)
        assert answer.status_code == 500
        assert "secret" not in answer.text
        assert any("secret detail" in text for text in own.told)
        broken.broken = False
        assert draw(client).status_code == 200


def test_stopping_cancels_what_does_not_finish_in_time(model):
    """Of two that run and one that waits each is told."""
    with serving(slowed(model, 0.05), grace=1, max_batch=2) as own, ThreadPoolExecutor(3) as pool:

        def ask(response: str) -> tuple[int, str]:
            with own.client() as client:
                asked = {"class": 0, "steps": 1000, "response": response}
                answer = client.post("/v1/images", json=asked)
                return answer.status_code, answer.text

        told = [pool.submit(ask, response) for response in ("base64", "stream", "stream")]
        own.until(lambda: own.service.scheduler.count_jobs() == {"running": 2, "waiting": 1})
        own.server.should_exit = True
        plain, *streamed = [one.result(10) for one in told]
    assert plain[0] == 409
    assert json.loads(plain[1])["error"]["code"] == "cancelled"
    for status, text in streamed:
        assert status == 200
        assert text.rstrip().splitlines()[-2] == "event: error"


def test_thumbnails_are_drawn_once(client, running):
    before = running.service.metrics.text({})
    first = client.get("/v1/models/pets/thumbnails/1")
    again = client.get("/v1/models/pets/thumbnails/1")
    assert first.headers["content-type"] == "image/png"
    assert first.content == again.content
    drawn = running.service.metrics.text({}).split('iddm_images_total{model="pets"} ')[1]
    had = before.split('iddm_images_total{model="pets"} ')[1]
    assert int(drawn.split()[0]) - int(had.split()[0]) <= 1
    assert client.get("/v1/models/pets/thumbnails/3").status_code == 404
    assert client.get("/v1/models/plain/thumbnails/0").status_code == 200


def test_metrics_are_what_prometheus_reads(client):
    draw(client)
    text = client.get("/metrics").text
    assert 'iddm_requests_total{route="/v1/images",status="200"}' in text
    assert 'iddm_jobs{state="running"} 0' in text
    samples = [line for line in text.splitlines() if not line.startswith("#")]
    assert all(float(line.rsplit(" ", 1)[1]) >= 0 for line in samples)
    buckets = [float(x.rsplit(" ", 1)[1]) for x in samples if "request_seconds_bucket" in x]
    assert buckets


def test_health_and_ready(client):
    assert client.get("/health").json() == {"status": "ok"}
    assert client.get("/ready").json() == {"status": "ready"}
