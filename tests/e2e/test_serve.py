"""The installed command serves a trained run, and ends when it is told to."""

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


class Served:
    """`iddm serve` as a process."""

    def __init__(self, shell, *words: str) -> None:
        self.process = shell.start("serve", *words, "--port", "0")
        self.told: list[str] = []
        self.listener = threading.Thread(target=self._listen)
        self.listener.start()
        self.address = self.process.stdout.readline().strip()
        assert self.address, self.ended()[1]
        self.url = self.address.partition("#")[0].rstrip("/")
        self.client = httpx.Client(base_url=self.url, timeout=60, trust_env=False)
        self._wait_until_ready()

    def _listen(self) -> None:
        self.told += self.process.stderr.readlines()

    def _wait_until_ready(self) -> None:
        end = time.monotonic() + START
        while self.client.get("/ready").status_code != 200:
            assert time.monotonic() < end
            time.sleep(0.05)

    def ended(self, number: int | None = None) -> tuple[int, str]:
        """Send it a signal; return its exit code and what it said."""
        if number is not None:
            self.process.send_signal(number)
        code = self.process.wait(40)
        self.listener.join()
        self.process.stdout.close()
        self.process.stderr.close()
        return code, "".join(self.told)


@pytest.fixture
def serve(trained):
    started = []

    def start(*words: str) -> Served:
        started.append(Served(trained, *words))
        return started[-1]

    yield start
    for served in started:
        if served.process.poll() is None:
            served.process.kill()
            served.ended()


@pytest.mark.parametrize("exported", [False, True], ids=["run", "file"])
def test_it_serves_what_iddm_generate_draws_and_ends_with_143(serve, trained, shell, exported):
    file = shell.folder / "moved.safetensors"
    if exported:
        trained.iddm("export", "safetensors", "first", "--out", file)
    served = serve(str(file) if exported else "first")
    asked = {"class": "scratches", "seed": 4, "count": 3, "sampler": "ddpm", "steps": 12}
    answer = served.client.post("/v1/images", json=asked).json()
    words = answer["command"].split()[1:]
    assert words[1] == (file.name if exported else "first"), "what the user calls it, no folder"
    shell.iddm(*words, "--runs-dir", trained.folder / "runs", "--out", "same", "--no-grid")
    for image in answer["images"]:
        content = base64.b64decode(image["image"])
        name = f"scratches/scratches-00000{image['index']}.png"
        with (
            Image.open(io.BytesIO(content)) as ours,
            Image.open(shell.folder / "same" / name) as one,
        ):
            assert ours.text == one.text, "it says the same of itself"
            difference = np.asarray(ours).astype(int) - np.asarray(one).astype(int)
        assert np.abs(difference).max() <= 1
    assert served.client.get("/").status_code == 200
    code, told = served.ended(signal.SIGTERM)
    assert code == 143
    assert "Traceback" not in told


def test_ctrl_c_lets_the_running_request_finish(serve):
    served = serve()
    answers = []

    def ask() -> None:
        asked = {"class": 0, "sampler": "ddpm", "steps": 200}
        answers.append(served.client.post("/v1/images", json=asked).status_code)

    asking = threading.Thread(target=ask)
    asking.start()
    with httpx.Client(base_url=served.url, trust_env=False) as other:
        while 'state="running"} 1' not in other.get("/metrics").text:
            time.sleep(0.01)
    code, _ = served.ended(signal.SIGINT)
    asking.join()
    assert (code, answers) == (130, [200])


def test_a_second_signal_ends_at_once(serve):
    served = serve()

    def ask() -> None:
        with pytest.raises(httpx.HTTPError):
            asked = {"class": 0, "count": 64, "sampler": "ddpm", "steps": 1000}
            served.client.post("/v1/images", json=asked).raise_for_status()

    asking = threading.Thread(target=ask)
    asking.start()
    with httpx.Client(base_url=served.url, trust_env=False) as other:
        while 'state="running"} 1' not in other.get("/metrics").text:
            time.sleep(0.01)
    started = time.monotonic()
    served.process.send_signal(signal.SIGTERM)
    time.sleep(0.5)
    code, _ = served.ended(signal.SIGTERM)
    asking.join()
    assert code == 143
    assert time.monotonic() - started < 10


def test_the_token_stands_in_the_printed_address(serve, shell, trained):
    trained.env["IDDM_TOKEN"] = "as+base64/has&it=="
    try:
        served = serve("--host", "0.0.0.0")
    finally:
        del trained.env["IDDM_TOKEN"]
    (token,) = parse_qs(served.address.split("#")[1])["token"]
    assert token == "as+base64/has&it==", "what the page makes of it"
    port = re.search(r":(\d+)/", served.address)[1]
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client:
        assert client.get("/v1/models").status_code == 401
        held = {"authorization": f"Bearer {token}"}
        assert client.get("/v1/models", headers=held).status_code == 200
        assert client.get("/health", headers={"host": "evil.example.org"}).status_code == 403


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("no-such-run",), 4, "no run 'no-such-run'"),
        (("first", "first"), 2, "two models are named first"),
        (("--host", "0.0.0.0"), 2, "a token is needed"),
        (("--host", "0.0.0.0", "--token", "short"), 2, "16 ASCII characters or more"),
        (("--token", ""), 2, "16 ASCII characters or more"),
        (("--token", "from-a-file-with-its-end\n"), 2, "no line end among"),
        (("--allow-host", "http://example.org"), 2, "not the name of a host"),
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
def test_what_cannot_be_served_is_refused_at_once(trained, words, code, said):
    answer = trained.iddm("serve", *words, expect=code)
    assert said in answer.err


def test_a_port_that_is_taken_is_told(trained):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        answer = trained.iddm("serve", "--port", other.getsockname()[1], expect=2)
    assert "Address already in use" in answer.err
    assert "--port" in answer.err


def test_without_the_extra_the_command_says_what_to_install(trained, monkeypatch):
    from iddm_cli.commands import serve
    from iddm_cli.errors import UsageError

    monkeypatch.setattr(serve, "find_spec", lambda name: None)
    with pytest.raises(UsageError, match="fastapi and uvicorn") as refused:
        serve.check_installed()
    assert "pip install 'iddm-cli[serve]'" in refused.value.hint
