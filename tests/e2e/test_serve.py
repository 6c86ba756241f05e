"""The installed command serves a trained run, and stops at a signal."""

import base64
import io
import re
import signal
import socket
import threading
import time
from urllib.parse import parse_qs

import httpx
import numpy as np
import pytest
from PIL import Image

START = 60.0


class ServeProcess:
    """`iddm serve` as a process."""

    def __init__(self, shell, *words: str) -> None:
        self.process = shell.start("serve", *words, "--port", "0")
        self.stderr: list[str] = []
        self.reader = threading.Thread(target=self._read_stderr)
        self.reader.start()
        self.address = self.process.stdout.readline().strip()
        assert self.address, self.stop()[1]
        self.url = self.address.partition("#")[0].rstrip("/")
        self.client = httpx.Client(base_url=self.url, timeout=60, trust_env=False)
        self._wait_until_ready()

    def _read_stderr(self) -> None:
        self.stderr += self.process.stderr.readlines()

    def _wait_until_ready(self) -> None:
        end = time.monotonic() + START
        while self.client.get("/ready").status_code != 200:
            assert time.monotonic() < end
            time.sleep(0.05)

    def stop(self, number: int | None = None) -> tuple[int, str]:
        """Send a signal, if one is given; wait and return the exit code and stderr."""
        if number is not None:
            self.process.send_signal(number)
        code = self.process.wait(40)
        self.reader.join()
        self.process.stdout.close()
        self.process.stderr.close()
        return code, "".join(self.stderr)


@pytest.fixture
def serve(trained):
    started = []

    def start(*words: str) -> ServeProcess:
        started.append(ServeProcess(trained, *words))
        return started[-1]

    yield start
    for served in started:
        if served.process.poll() is None:
            served.process.kill()
            served.stop()


@pytest.mark.parametrize("exported", [False, True], ids=["run", "file"])
def test_it_serves_the_images_of_iddm_generate_and_exits_with_143(serve, trained, shell, exported):
    file = shell.folder / "moved.safetensors"
    if exported:
        trained.iddm("export", "safetensors", "first", "--out", file)
    served = serve(str(file) if exported else "first")
    query = {"class": "scratches", "seed": 4, "count": 3, "sampler": "ddpm", "steps": 12}
    response = served.client.post("/v1/images", json=query).json()
    words = response["command"].split()[1:]
    assert words[1] == (file.name if exported else "first"), "without a folder"
    shell.iddm(*words, "--runs-dir", trained.folder / "runs", "--out", "same", "--no-grid")
    for image in response["images"]:
        content = base64.b64decode(image["image"])
        name = f"scratches/scratches-00000{image['index']}.png"
        with (
            Image.open(io.BytesIO(content)) as ours,
            Image.open(shell.folder / "same" / name) as one,
        ):
            assert ours.text == one.text, "the same metadata"
            difference = np.asarray(ours).astype(int) - np.asarray(one).astype(int)
        assert np.abs(difference).max() <= 1
    assert served.client.get("/").status_code == 200
    code, stderr = served.stop(signal.SIGTERM)
    assert code == 143
    assert "Traceback" not in stderr


def test_ctrl_c_lets_running_requests_finish(serve):
    served = serve()
    statuses = []

    def send() -> None:
        query = {"class": 0, "sampler": "ddpm", "steps": 200}
        statuses.append(served.client.post("/v1/images", json=query).status_code)

    sender = threading.Thread(target=send)
    sender.start()
    with httpx.Client(base_url=served.url, trust_env=False) as other:
        while 'state="running"} 1' not in other.get("/metrics").text:
            time.sleep(0.01)
    code, _ = served.stop(signal.SIGINT)
    sender.join()
    assert (code, statuses) == (130, [200])


def test_a_second_signal_stops_at_once(serve):
    served = serve()

    def send() -> None:
        with pytest.raises(httpx.HTTPError):
            query = {"class": 0, "count": 64, "sampler": "ddpm", "steps": 1000}
            served.client.post("/v1/images", json=query).raise_for_status()

    sender = threading.Thread(target=send)
    sender.start()
    with httpx.Client(base_url=served.url, trust_env=False) as other:
        while 'state="running"} 1' not in other.get("/metrics").text:
            time.sleep(0.01)
    started = time.monotonic()
    served.process.send_signal(signal.SIGTERM)
    time.sleep(0.5)
    code, _ = served.stop(signal.SIGTERM)
    sender.join()
    assert code == 143
    assert time.monotonic() - started < 10


def test_the_printed_address_contains_the_token(serve, shell, trained):
    trained.env["IDDM_TOKEN"] = "as+base64/has&it=="
    try:
        served = serve("--host", "0.0.0.0")
    finally:
        del trained.env["IDDM_TOKEN"]
    (token,) = parse_qs(served.address.split("#")[1])["token"]
    assert token == "as+base64/has&it==", "as the page decodes it"
    port = re.search(r":(\d+)/", served.address)[1]
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client:
        assert client.get("/v1/models").status_code == 401
        headers = {"authorization": f"Bearer {token}"}
        assert client.get("/v1/models", headers=headers).status_code == 200
        assert client.get("/health", headers={"host": "evil.example.org"}).status_code == 403


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (("no-such-run",), 4, "no run 'no-such-run'"),
        (("first", "first"), 2, "two models are named first"),
        (("--host", "0.0.0.0"), 2, "a token is needed"),
        (("--host", "0.0.0.0", "--token", "short"), 2, "at least 16 printable ASCII characters"),
        (("--token", ""), 2, "at least 16 printable ASCII characters"),
        (("--token", "from-a-file-with-its-end\n"), 2, "no line break"),
        (("--allow-host", "http://example.org"), 2, "not a valid host name"),
        (("--allow-host", "example.org:8443"), 2, "no port"),
        (("--no-auth", "--token", "sixteen-letters-or-more"), 2, "contradict each other"),
        (("--host", "no.such.host.invalid", "--no-auth"), 2, "--host no.such.host.invalid"),
        (("--host", "192.0.2.1", "--no-auth"), 2, "Choose another --port"),
        (("--port", "65536"), 2, "--port"),
        (("--device", "tpu"), 2, "--device"),
        (("--max-batch", "0"), 2, "--max-batch"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else None,
)
def test_invalid_options_are_reported_at_once(trained, words, code, message):
    answer = trained.iddm("serve", *words, expect=code)
    assert message in answer.err


def test_a_port_in_use_is_reported(trained):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        answer = trained.iddm("serve", "--port", other.getsockname()[1], expect=2)
    assert "Address already in use" in answer.err
    assert "--port" in answer.err
