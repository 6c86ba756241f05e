"""Those who take their time: drips, half requests, readers who do not read, many connections."""

import dataclasses
import socket
import time
from contextlib import ExitStack

import httpx
import psutil
import pytest

from iddm_cli.serving.http.sockets import raise_file_limit

from .conftest import serving, slowed

HEAD = b"POST /v1/images HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"


@pytest.fixture(scope="module")
def hurried(model):
    limits = {"reading": 0.8, "stalled": 0.8, "per_client": 40, "connections": 200}
    with serving(model, **limits) as server:
        yield server


def connect(server) -> socket.socket:
    return socket.create_connection(("127.0.0.1", server.port), timeout=10)


def is_closed(connection: socket.socket) -> bool:
    """Say whether the other side has ended it, reading what is left."""
    connection.settimeout(3)
    try:
        while connection.recv(65536):
            pass
    except ConnectionError:
        return True
    except TimeoutError:
        return False
    return True


@pytest.mark.parametrize(
    "begun", [b"", b"GET /hea", HEAD, HEAD + b"Content-Length: 20\r\n\r\n{"], ids=len
)
def test_a_request_that_does_not_end_is_cut(hurried, begun):
    started = time.monotonic()
    with connect(hurried) as connection:
        connection.sendall(begun)
        assert is_closed(connection)
    assert time.monotonic() - started < 2.5


def test_a_drip_on_every_connection_holds_nobody_up(hurried):
    """One byte each 0.1 s would keep any deadline between two bytes from ever coming."""
    with ExitStack() as stack:
        drips = [stack.enter_context(connect(hurried)) for _ in range(30)]
        slowest, cut = 0.0, 0
        text = HEAD + b"Content-Length: 400\r\n\r\n" + b" " * 400
        for letter in text[:20]:
            for drip in list(drips):
                try:
                    drip.sendall(bytes([letter]))
                except ConnectionError:
                    drips.remove(drip)
                    cut += 1
            asked = time.monotonic()
            assert httpx.get(f"{hurried.url}/health", trust_env=False).status_code == 200
            slowest = max(slowest, time.monotonic() - asked)
            time.sleep(0.08)
        assert all(is_closed(drip) for drip in drips)
    assert slowest < 0.5, "50 ms on a machine that has nothing else to do"


def test_one_address_has_only_so_many_connections(hurried):
    hurried.until(lambda: not hurried.server.server_state.connections)
    with ExitStack() as stack:
        held = [stack.enter_context(connect(hurried)) for _ in range(40)]
        hurried.until(lambda: len(hurried.server.server_state.connections) == 40)
        with connect(hurried) as one_more:
            assert is_closed(one_more)
        held[0].close()
        hurried.until(lambda: len(hurried.server.server_state.connections) == 39)
        with connect(hurried) as again:
            again.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert b"200" in again.recv(100)


def test_too_many_connections_are_answered_503(model):
    with serving(model, connections=5) as own, ExitStack() as stack:
        for _ in range(6):
            stack.enter_context(connect(own))
        own.until(lambda: len(own.server.server_state.connections) == 6)
        with own.client() as client:
            assert client.get("/health").status_code == 503


def test_as_many_files_may_be_open_as_there_may_be_connections():
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (256, before[1]))
        raise_file_limit(700)
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (700, before[1])
        raise_file_limit(600)
        assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] == 700, "it is never lowered"
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_a_half_closed_connection_is_let_go(hurried):
    with connect(hurried) as connection:
        connection.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\n")
        connection.shutdown(socket.SHUT_WR)
        assert is_closed(connection)
    hurried.until(lambda: not hurried.server.server_state.connections)


def test_a_body_of_100_mb_is_not_read(hurried):
    before = psutil.Process().memory_info().rss
    with connect(hurried) as connection:
        connection.sendall(HEAD + b"Content-Length: 100000000\r\n\r\n")
        sent, block = 0, b" " * 2**20
        try:
            while sent < 100 * 2**20:
                sent += connection.send(block)
        except (ConnectionError, TimeoutError):
            pass
    assert sent < 20 * 2**20, "what the socket's buffers hold"
    assert psutil.Process().memory_info().rss - before < 30 * 2**20


def test_a_reader_who_takes_nothing_is_let_go(model):
    """A stream of more than the buffers on the way hold."""
    asked = b'{"class": 0, "count": 64, "steps": 1000, "response": "stream"}'
    slow = slowed(model, 0.01)
    with serving(slow, stalled=0.5, buffer=4096) as own, socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        connection.connect(("127.0.0.1", own.port))
        connection.sendall(HEAD + b"Content-Length: %d\r\n\r\n" % len(asked) + asked)
        own.until(lambda: own.service.scheduler.count_jobs()["running"] == 1)
        own.until(lambda: own.service.scheduler.count_jobs()["running"] == 0, 60)
        own.until(lambda: not own.server.server_state.connections)


def test_a_reader_who_is_only_slow_gets_all_of_it(model):
    """An answer of 2 MB, which nothing on the way holds, read over three times the deadline."""

    class Noise:
        is_invariant = True

        def __call__(self, x_t, *_):
            return x_t

    noisy = dataclasses.replace(model, shape=(3, 256, 256), exact=Noise())
    asked = b'{"class": 0, "count": 8, "steps": 1}'
    with (
        serving(noisy, stalled=0.6, buffer=16384) as own,
        socket.create_connection(("127.0.0.1", own.port), timeout=20) as slow,
    ):
        slow.sendall(HEAD + b"Content-Length: %d\r\n\r\n" % len(asked) + asked)
        content = slow.recv(65536)
        head, _, _ = content.partition(b"\r\n\r\n")
        length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
        size = len(head) + 4 + length
        while len(content) < size:
            time.sleep(0.05)
            more = slow.recv(49152)
            assert more, "it was cut"
            content += more


def test_pipelined_requests_are_answered_in_order(hurried):
    with connect(hurried) as connection:
        first = b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"
        second = b"GET /v1/models HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        connection.sendall(first * 20 + second)
        connection.settimeout(5)
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    assert answer.count(b"HTTP/1.1 200") == 21
    assert answer.rindex(b'"ok"') < answer.index(b'"pets"')


def test_no_http_at_all_is_answered_400(hurried):
    for noise in (b"\x16\x03\x01\x02\x00", b"GET\r\n\r\n", b"\x00" * 100, b"A" * 20_000):
        with connect(hurried) as connection:
            connection.sendall(noise + b"\r\n\r\n")
            assert connection.recv(100)[:12] in (b"HTTP/1.1 400", b"")
