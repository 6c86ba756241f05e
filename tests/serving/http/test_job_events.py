"""A stream of events: the job, its progress, previews, images and the end."""

import base64
import io

from PIL import Image

from .calls import generate, image_files, read_events


def test_a_stream_has_progress_previews_images_and_an_end(client):
    query = {"class": 0, "seed": 3, "count": 2, "steps": 200, "response": "stream"}
    with client.stream("POST", "/v1/images", json=query) as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        events = read_events(response)
    names = [name for name, _ in events]
    assert names[0] == "job"
    assert names[-1] == "done"
    assert names.count("image") == 2
    progress = [content for name, content in events if name == "progress"]
    assert set(progress[0]) == {"state", "place", "step", "steps", "pictures"}
    steps = [content["step"] for content in progress]
    assert steps == sorted(steps)
    previews = [content for name, content in events if name == "preview"]
    assert previews
    assert Image.open(io.BytesIO(base64.b64decode(previews[0]["image"]))).size == (16, 8)
    expected = image_files(generate(client, steps=200, count=2))
    streamed = {c["index"]: base64.b64decode(c["image"]) for n, c in events if n == "image"}
    assert [streamed[0], streamed[1]] == expected
