"""Some seventy hostile requests, each rejected with the right status before anything is computed.

Each stands for a vulnerability of a server like this one (with its CVE number, if it has one).
"""

import json
import socket

import pytest

from iddm_cli.serving.http.security import LOOPBACK_HOSTS, AccessPolicy, is_loopback
from tests.serving.conftest import serving

TOKEN = "correct-horse-battery"
JSON = {"content-type": "application/json"}
GOOD = b'{"class": 0, "steps": 1}'
AUTH = {"authorization": f"Bearer {TOKEN}"}


@pytest.fixture(scope="module")
def guarded(model):
    policy = AccessPolicy(LOOPBACK_HOSTS | {"images.example.org"}, token=TOKEN)
    with serving(model, policy=policy) as server:
        yield server


def send_raw(port: int, method: str, path: str, headers: dict[str, str], body: bytes = b"") -> int:
    """Send a request byte for byte; return the status."""
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall("\r\n".join([*lines, "", ""]).encode("latin-1") + body)
        return int(connection.recv(65536).split(b" ", 2)[1])


def probe(server, *, method="POST", path="/v1/images", body=GOOD, headers=None, without=()):
    own = {"host": f"127.0.0.1:{server.port}", **AUTH, **JSON, "content-length": str(len(body))}
    sent = {k: v for k, v in {**own, **(headers or {})}.items() if k not in without}
    return send_raw(server.port, method, path, sent, body)


def query(**fields) -> dict:
    return {"body": json.dumps({"class": 0, "steps": 1, **fields}).encode()}


PROBES = {
    # Valid requests, so that rejecting everything does not pass.
    "a valid request": (200, {}),
    "localhost as host": (200, {"headers": {"host": "localhost"}}),
    "an allowed host": (200, {"headers": {"host": "images.example.org"}}),
    "IPv6 loopback": (200, {"headers": {"host": "[::1]:8000"}}),
    "its own page": (200, {"headers": {"origin": "http://localhost", "host": "localhost",
                                            "sec-fetch-site": "same-origin"}}),
    "a charset": (200, {"headers": {"content-type": "application/json; charset=utf-8"}}),
    # DNS rebinding: ollama CVE-2024-28224, ComfyUI #12860.
    "another host": (403, {"headers": {"host": "evil.example.org"}}),
    "another host that matches its origin": (403, {"headers": {
        "host": "evil.example.org", "origin": "http://evil.example.org"}}),
    "a host that begins like ours": (403, {"headers": {"host": "localhost.evil.example.org"}}),
    "a host that ends like ours": (403, {"headers": {"host": "evil-localhost"}}),
    "our host as a user name": (403, {"headers": {"host": "localhost:80@evil.example.org"}}),
    "another IP address": (403, {"headers": {"host": "10.0.0.1"}}),
    "no host": (400, {"without": ("host",)}),
    "an empty host": (403, {"headers": {"host": ""}}),
    # CSRF: ComfyUI CVE-2024-10481, Gradio CVE-2024-47084, A1111 CVE-2024-11045.
    "another site's page": (403, {"headers": {"origin": "https://evil.example.org"}}),
    "another port's page": (403, {"headers": {"origin": "http://127.0.0.1:1"}}),
    "an origin that contains ours": (403, {"headers": {"origin": "http://127.0.0.1:8000.evil.org"}}),
    # ComfyUI CVE-2026-56674: a parsed "null" has no host, and was let through.
    "the origin null": (403, {"headers": {"origin": "null"}}),
    "an empty origin": (403, {"headers": {"origin": ""}}),
    "sent from another site": (403, {"headers": {"sec-fetch-site": "cross-site"}}),
    "sent from a sibling domain": (403, {"headers": {"sec-fetch-site": "same-site"}}),
    "a form": (415, {"headers": {"content-type": "text/plain"}}),
    "a form with fields": (415, {"headers": {"content-type": "application/x-www-form-urlencoded"}}),
    "no content type": (415, {"without": ("content-type",)}),
    # Uploads: A1111 CVE-2024-10935, Open WebUI CVE-2024-12537, Triton CVE-2025-33201.
    "an upload": (415, {"headers": {"content-type": "multipart/form-data; boundary=x"}}),
    "a long body": (413, {"headers": {"content-length": "16385"}}),
    "a body of 100 MB": (413, {"headers": {"content-length": str(10**8)}}),
    "an endless body": (413, {"headers": {"content-length": "9" * 19}}),
    "chunks": (411, {"headers": {"transfer-encoding": "chunked"}, "without": ("content-length",)}),
    "no length": (411, {"without": ("content-length",)}),
    "a negative length": (400, {"headers": {"content-length": "-1"}}),
    "a length that is no number": (400, {"headers": {"content-length": "ten"}}),
    "a body with GET": (413, {"method": "GET", "path": "/v1/models"}),
    # ollama CVE-2024-12886.
    "a compressed body": (415, {"headers": {"content-encoding": "gzip"}}),
    # A token.
    "no token": (401, {"without": ("authorization",)}),
    "a wrong token": (401, {"headers": {"authorization": "Bearer wrong"}}),
    "part of the token": (401, {"headers": {"authorization": f"Bearer {TOKEN[:-1]}"}}),
    "the token and more": (401, {"headers": {"authorization": f"Bearer {TOKEN}x"}}),
    "another authentication scheme": (401, {"headers": {"authorization": f"Basic {TOKEN}"}}),
    "a token that is not ASCII": (401, {"headers": {"authorization": "Bearer \xff\xfe"}}),
    "a token in the query": (401, {"without": ("authorization",), "method": "GET", "body": b"",
                                     "path": f"/v1/models?token={TOKEN}"}),
    "metrics without a token": (401, {"without": ("authorization",), "method": "GET",
                                      "path": "/metrics", "body": b""}),
    # Counts: vLLM CVE-2026-34756.
    "count 0": (422, query(count=0)),
    "count -1": (422, query(count=-1)),
    "count 1.0": (422, query(count=1.0)),
    "count true": (422, query(count=True)),
    "count as text": (422, query(count="1")),
    "count 10^9": (422, query(count=10**9)),
    "count 10^400": (422, query(count=10**400)),
    "count of 10,000 digits": (400, {"body": b'{"class": 0, "count": ' + b"9" * 10_000 + b"}"}),
    "steps 10^9": (422, query(steps=10**9)),
    "NaN as guidance": (422, {"body": b'{"class": 0, "guidance": NaN}'}),
    "infinite guidance": (422, {"body": b'{"class": 0, "guidance": Infinity}'}),
    # Paths and URLs: ollama CVE-2024-37032, ComfyUI CVE-2026-56671, TorchServe CVE-2023-43654.
    "a path as model": (404, query(model="../../etc/passwd")),
    "a URL as model": (404, query(model="http://127.0.0.1:1/x.pt")),
    "a file of weights": (422, query(weights="x.pt")),
    "a path as class": (422, query(**{"class": "../cat"})),
    "half a surrogate pair": (422, {"body": b'{"class": "\\ud800"}'}),
    "a NUL": (422, {"body": b'{"class": "\\u0000"}'}),
    "a path above the page": (404, {"method": "GET", "path": "/../../etc/passwd", "body": b""}),
    "an encoded path": (404, {"method": "GET", "path": "/%2e%2e%2fapp.js", "body": b""}),
    # Parsers.
    "invalid JSON": (422, {"body": b"{'class': 0}"}),
    "a JSON list": (422, {"body": b"[]"}),
    "an empty body": (422, {"body": b""}),
    "invalid UTF-8": (400, {"body": b'{"class": "\xff"}'}),
    "nested 8,000 deep": (400, {"body": b"[" * 8000 + b"]" * 8000}),
    # Other attacks.
    "headers of 20 kB": (400, {"headers": {"cookie": "x" * 20_000}}),
    "a path of 20 kB": (400, {"method": "GET", "path": "/?" + "x" * 20_000, "body": b""}),
    "many ranges": (200, {"method": "GET", "path": "/", "body": b"",
                      "headers": {"range": "bytes=" + "0-1," * 999}}),
    "another method": (405, {"method": "PUT"}),
    "TRACE": (405, {"method": "TRACE", "body": b""}),
    "a preflight": (403, {"method": "OPTIONS", "body": b"",
                          "headers": {"origin": "http://evil.example.org"}}),
    "a websocket": (404, {"method": "GET", "path": "/ws", "body": b"", "headers": {
        "upgrade": "websocket", "connection": "upgrade", "sec-websocket-key": "x"}}),
}  # fmt: skip


@pytest.mark.parametrize("what", PROBES)
def test_probe(guarded, what):
    status, request = PROBES[what]
    assert probe(guarded, **request) == status


def test_a_repeated_header_that_the_checks_use_is_rejected(guarded):
    for name, value in {"host": "localhost", "origin": "null", "authorization": "x"}.items():
        lines = f"GET /v1/models HTTP/1.1\r\nHost: localhost\r\n{name}: {value}\r\n{name}: {value}"
        with socket.create_connection(("127.0.0.1", guarded.port), timeout=10) as connection:
            connection.sendall(f"{lines}\r\n\r\n".encode())
            assert b" 400 " in connection.recv(65536).split(b"\r\n")[0]


def test_nothing_was_reported_and_no_response_reveals_internals(guarded):
    assert guarded.reports == []
    with guarded.client(headers=AUTH) as client:
        text = client.post("/v1/images", json={"class": {"a": "secret-of-the-client"}}).text
    assert "secret-of-the-client" not in text
    assert "Traceback" not in text
    assert "/" not in json.loads(text)["error"]["message"]


def test_a_link_from_another_site_opens_the_page_and_nothing_else(guarded):
    """Rejecting these broke ComfyUI's users (#16203): a link in a chat is not an attack."""
    link = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}
    with guarded.client(headers=link) as client:
        assert client.get("/").status_code == 200
        assert client.get("/app.js").status_code == 403
        assert client.get("/v1/models", headers=AUTH).status_code == 403


def test_every_response_has_the_security_headers(guarded):
    with guarded.client() as client:
        for path in ("/", "/v1/models", "/nothing", "/health"):
            headers = client.get(path).headers
            assert "default-src 'none'" in headers["content-security-policy"]
            assert headers["x-content-type-options"] == "nosniff"
            assert "access-control-allow-origin" not in headers
            assert "server" not in headers


def test_ip_addresses_are_allowed_as_they_cannot_be_rebound():
    policy = AccessPolicy(allow_ip_hosts=True)
    assert policy.allows_host("192.168.0.7:8000")
    assert policy.allows_host("[fe80::1]:8000")
    assert not policy.allows_host("evil.example.org")


def test_what_is_loopback():
    assert all(map(is_loopback, ("127.0.0.1", "127.1.2.3", "::1", "localhost")))
    assert not any(map(is_loopback, ("0.0.0.0", "::", "192.168.0.1", "example.org", "")))


def test_the_server_never_opens_a_connection(guarded, monkeypatch):
    """No field carries an address."""
    opened = []
    connect = socket.socket.connect
    monkeypatch.setattr(
        socket.socket,
        "connect",
        lambda own, peer: (opened.append(peer), connect(own, peer))[1],
    )
    with guarded.client(headers=AUTH) as client:
        for field in ("model", "class", "prompt", "url", "image"):
            client.post("/v1/images", json={field: "http://127.0.0.1:9/x.png"})
    assert {address[1] for address in opened} == {guarded.port}
