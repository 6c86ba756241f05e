"""A thumbnail is generated once and cached."""

IMAGES_TOTAL = 'iddm_images_total{model="pets"} '


def count_images(server) -> int:
    text = server.service.metrics.render({})
    return int(text.split(IMAGES_TOTAL)[1].split()[0]) if IMAGES_TOTAL in text else 0


def test_thumbnails_are_generated_once(client, server):
    before = count_images(server)
    first = client.get("/v1/models/pets/thumbnails/1")
    again = client.get("/v1/models/pets/thumbnails/1")
    assert first.headers["content-type"] == "image/png"
    assert first.content == again.content
    assert count_images(server) - before <= 1
    assert client.get("/v1/models/pets/thumbnails/3").status_code == 404
    assert client.get("/v1/models/plain/thumbnails/0").status_code == 200
