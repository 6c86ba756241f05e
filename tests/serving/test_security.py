"""The gate: some forty hostile requests, each refused with the right code before anything is done.

Each stands for a record of a server like this one (CVE numbers where there are any).
"""

import json
import socket

import pytest

from iddm_cli.commands.serve import make_policy
from iddm_cli.serving.http.security import LOOPBACK_HOSTS, AccessPolicy, is_loopback

from .conftest import serving

TOKEN = "correct-horse-battery"
JSON = {"content-type": "application/json"}
GOOD = b'{"class": 0, "steps": 1}'
AUTH = {"authorization": f"Bearer {TOKEN}"}


@pytest.fixture(scope="module")
def guarded(model):
    policy = AccessPolicy(LOOPBACK_HOSTS | {"pictures.example.org"}, token=TOKEN)
    with serving(model, policy=policy) as server:
        yield server


def raw(port: int, method: str, path: str, headers: dict[str, str], body: bytes = b"") -> int:
    """Send a request byte for byte; return its status."""
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall("\r\n".join([*lines, "", ""]).encode("latin-1") + body)
        return int(connection.recv(65536).split(b" ", 2)[1])


def probe(server, *, method="POST", path="/v1/images", body=GOOD, headers=None, without=()):
    own = {"host": f"127.0.0.1:{server.port}", **AUTH, **JSON, "content-length": str(len(body))}
    sent = {k: v for k, v in {**own, **(headers or {})}.items() if k not in without}
    return raw(server.port, method, path, sent, body)


def asked(**fields) -> dict:
    return {"body": json.dumps({"class": 0, "steps": 1, **fields}).encode()}


PROBES = {
    # The good ones, so that a gate that refuses everything does not pass.
    "as it should be": (200, {}),
    "by its other name": (200, {"headers": {"host": "localhost"}}),
    "behind a proxy": (200, {"headers": {"host": "pictures.example.org"}}),
    "by IPv6": (200, {"headers": {"host": "[::1]:8000"}}),
    "from its own page": (200, {"headers": {"origin": "http://localhost", "host": "localhost",
                                            "sec-fetch-site": "same-origin"}}),
    "with a charset": (200, {"headers": {"content-type": "application/json; charset=utf-8"}}),
    # DNS rebinding: ollama CVE-2024-28224, ComfyUI #12860.
    "another name": (403, {"headers": {"host": "evil.example.org"}}),
    "another name that is its own origin": (403, {"headers": {
        "host": "evil.example.org", "origin": "http://evil.example.org"}}),
    "a name that begins like ours": (403, {"headers": {"host": "localhost.evil.example.org"}}),
    "a name that ends like ours": (403, {"headers": {"host": "evil-localhost"}}),
    "ours as a user's name": (403, {"headers": {"host": "localhost:80@evil.example.org"}}),
    "another address": (403, {"headers": {"host": "10.0.0.1"}}),
    "no name": (400, {"without": ("host",)}),
    "an empty name": (403, {"headers": {"host": ""}}),
    # CSRF: ComfyUI CVE-2024-10481, Gradio CVE-2024-47084, A1111 CVE-2024-11045.
    "another site's page": (403, {"headers": {"origin": "https://evil.example.org"}}),
    "another port's page": (403, {"headers": {"origin": "http://127.0.0.1:1"}}),
    "an origin that holds ours": (403, {"headers": {"origin": "http://127.0.0.1:8000.evil.org"}}),
    # ComfyUI CVE-2026-56674: a parsed "null" has no host, and was let through.
    "no origin to speak of": (403, {"headers": {"origin": "null"}}),
    "an empty origin": (403, {"headers": {"origin": ""}}),
    "sent by another site": (403, {"headers": {"sec-fetch-site": "cross-site"}}),
    "sent by a neighbour": (403, {"headers": {"sec-fetch-site": "same-site"}}),
    "a form": (415, {"headers": {"content-type": "text/plain"}}),
    "a form of fields": (415, {"headers": {"content-type": "application/x-www-form-urlencoded"}}),
    "no type": (415, {"without": ("content-type",)}),
    # Uploads: A1111 CVE-2024-10935, Open WebUI CVE-2024-12537, Triton CVE-2025-33201.
    "an upload": (415, {"headers": {"content-type": "multipart/form-data; boundary=x"}}),
    "a long body": (413, {"headers": {"content-length": "16385"}}),
    "a body of 100 MB": (413, {"headers": {"content-length": str(10**8)}}),
    "a body without end": (413, {"headers": {"content-length": "9" * 19}}),
    "chunks": (411, {"headers": {"transfer-encoding": "chunked"}, "without": ("content-length",)}),
    "no length": (411, {"without": ("content-length",)}),
    "a negative length": (400, {"headers": {"content-length": "-1"}}),
    "a length in words": (400, {"headers": {"content-length": "ten"}}),
    "a body where none belongs": (413, {"method": "GET", "path": "/v1/models"}),
    # ollama CVE-2024-12886.
    "a compressed body": (415, {"headers": {"content-encoding": "gzip"}}),
    # A token.
    "no token": (401, {"without": ("authorization",)}),
    "a wrong token": (401, {"headers": {"authorization": "Bearer wrong"}}),
    "a token in part": (401, {"headers": {"authorization": f"Bearer {TOKEN[:-1]}"}}),
    "a token and more": (401, {"headers": {"authorization": f"Bearer {TOKEN}x"}}),
    "a token of another kind": (401, {"headers": {"authorization": f"Basic {TOKEN}"}}),
    "a token that is no text": (401, {"headers": {"authorization": "Bearer \xff\xfe"}}),
    "a token in the address": (401, {"without": ("authorization",), "method": "GET", "body": b"",
                                     "path": f"/v1/models?token={TOKEN}"}),
    "metrics without a token": (401, {"without": ("authorization",), "method": "GET",
                                      "path": "/metrics", "body": b""}),
    # Counts: vLLM CVE-2026-34756.
    "count 0": (422, asked(count=0)),
    "count -1": (422, asked(count=-1)),
    "count 1.0": (422, asked(count=1.0)),
    "count true": (422, asked(count=True)),
    "count as text": (422, asked(count="1")),
    "count 10^9": (422, asked(count=10**9)),
    "count 10^400": (422, asked(count=10**400)),
    "count of 10,000 digits": (400, {"body": b'{"class": 0, "count": ' + b"9" * 10_000 + b"}"}),
    "steps 10^9": (422, asked(steps=10**9)),
    "guidance that is no number": (422, {"body": b'{"class": 0, "guidance": NaN}'}),
    "guidance without end": (422, {"body": b'{"class": 0, "guidance": Infinity}'}),
    # Paths and addresses: ollama CVE-2024-37032, ComfyUI CVE-2026-56671, TorchServe CVE-2023-43654.
    "a path as model": (404, asked(model="../../etc/passwd")),
    "an address as model": (404, asked(model="http://127.0.0.1:1/x.pt")),
    "a file of weights": (422, asked(weights="x.pt")),
    "a path as class": (422, asked(**{"class": "../cat"})),
    "half a letter": (422, {"body": b'{"class": "\\ud800"}'}),
    "a NUL": (422, {"body": b'{"class": "\\u0000"}'}),
    "a path above the page": (404, {"method": "GET", "path": "/../../etc/passwd", "body": b""}),
    "an encoded path": (404, {"method": "GET", "path": "/%2e%2e%2fapp.js", "body": b""}),
    # Parsers.
    "no JSON": (422, {"body": b"{'class': 0}"}),
    "no object": (422, {"body": b"[]"}),
    "nothing": (422, {"body": b""}),
    "no UTF-8": (400, {"body": b'{"class": "\xff"}'}),
    "nested 8,000 deep": (400, {"body": b"[" * 8000 + b"]" * 8000}),
    # Other ways in.
    "headers of 20 kB": (400, {"headers": {"cookie": "x" * 20_000}}),
    "a path of 20 kB": (400, {"method": "GET", "path": "/?" + "x" * 20_000, "body": b""}),
    "a range": (200, {"method": "GET", "path": "/", "body": b"",
                      "headers": {"range": "bytes=" + "0-1," * 999}}),
    "another method": (405, {"method": "PUT"}),
    "a trace": (405, {"method": "TRACE", "body": b""}),
    "a preflight": (403, {"method": "OPTIONS", "body": b"",
                          "headers": {"origin": "http://evil.example.org"}}),
    "a websocket": (404, {"method": "GET", "path": "/ws", "body": b"", "headers": {
        "upgrade": "websocket", "connection": "upgrade", "sec-websocket-key": "x"}}),
}  # fmt: skip


@pytest.mark.parametrize("what", PROBES)
def test_probe(guarded, what):
    status, sent = PROBES[what]
    assert probe(guarded, **sent) == status


def test_two_of_a_header_that_decides_are_refused(guarded):
    for name, value in {"host": "localhost", "origin": "null", "authorization": "x"}.items():
        lines = f"GET /v1/models HTTP/1.1\r\nHost: localhost\r\n{name}: {value}\r\n{name}: {value}"
        with socket.create_connection(("127.0.0.1", guarded.port), timeout=10) as connection:
            connection.sendall(f"{lines}\r\n\r\n".encode())
            assert b" 400 " in connection.recv(65536).split(b"\r\n")[0]


def test_nothing_was_told_and_no_answer_says_what_is_inside(guarded):
    assert guarded.told == []
    with guarded.client(headers=AUTH) as client:
        text = client.post("/v1/images", json={"class": {"a": "secret-of-the-client"}}).text
    assert "secret-of-the-client" not in text
    assert "Traceback" not in text
    assert "/" not in json.loads(text)["error"]["message"]


def test_a_link_from_elsewhere_opens_the_page_and_only_that(guarded):
    """Refusing these broke ComfyUI's users (#16203): a link in a chat is no attack."""
    link = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}
    with guarded.client(headers=link) as client:
        assert client.get("/").status_code == 200
        assert client.get("/app.js").status_code == 403
        assert client.get("/v1/models", headers=AUTH).status_code == 403


def test_every_answer_carries_the_headers(guarded):
    with guarded.client() as client:
        for path in ("/", "/v1/models", "/nothing", "/health"):
            headers = client.get(path).headers
            assert "default-src 'none'" in headers["content-security-policy"]
            assert headers["x-content-type-options"] == "nosniff"
            assert "access-control-allow-origin" not in headers
            assert "server" not in headers


def test_numeric_addresses_are_no_names_that_could_be_rebound():
    policy = AccessPolicy(allow_ip_hosts=True)
    assert policy.allows_host("192.168.0.7:8000")
    assert policy.allows_host("[fe80::1]:8000")
    assert not policy.allows_host("evil.example.org")


def test_an_address_may_be_allowed_with_brackets_or_without():
    for name in ("fe80::1", "[FE80::1]"):
        policy = make_policy("127.0.0.1", None, False, [name, "10.0.0.1", "Example.org"])
        assert all(map(policy.allows_host, ("[fe80::1]:8000", "10.0.0.1", "example.org")))


def test_what_is_loopback():
    assert all(map(is_loopback, ("127.0.0.1", "127.1.2.3", "::1", "localhost")))
    assert not any(map(is_loopback, ("0.0.0.0", "::", "192.168.0.1", "example.org", "")))


def test_nothing_is_ever_fetched(guarded, monkeypatch):
    """No request makes the server open a connection: there is no field for an address."""
    opened = []
    connect = socket.socket.connect
    monkeypatch.setattr(
        socket.socket, "connect", lambda own, place: (opened.append(place), connect(own, place))[1]
    )
    with guarded.client(headers=AUTH) as client:
        for field in ("model", "class", "prompt", "url", "image"):
            client.post("/v1/images", json={field: "http://127.0.0.1:9/x.png"})
    assert {place[1] for place in opened} == {guarded.port}
