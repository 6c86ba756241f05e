"""Slow clients: drips, incomplete requests, clients that do not read, many connections."""

import dataclasses
import socket
import statistics
import time
from contextlib import ExitStack

import httpx
import psutil
import pytest

from tests.serving.conftest import serving, slowed

HEAD = b"POST /v1/images HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"


@pytest.fixture(scope="module")
def impatient(model):
    limits = {
        "read_seconds": 0.8,
        "stall_seconds": 0.8,
        "max_connections_per_client": 40,
        "max_connections": 200,
    }
    with serving(model, **limits) as server:
        yield server


def connect(server) -> socket.socket:
    return socket.create_connection(("127.0.0.1", server.port), timeout=10)


def is_closed(connection: socket.socket) -> bool:
    """Return whether the server has closed it, after reading what is left."""
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
    "beginning", [b"", b"GET /hea", HEAD, HEAD + b"Content-Length: 20\r\n\r\n{"], ids=len
)
def test_an_incomplete_request_is_closed(impatient, beginning):
    started = time.monotonic()
    with connect(impatient) as connection:
        connection.sendall(beginning)
        assert is_closed(connection)
    assert time.monotonic() - started < 2.5


def test_drips_on_many_connections_delay_nobody(impatient):
    """One byte each 0.1 s would never reach a timeout between two bytes."""
    with ExitStack() as stack:
        drips = [stack.enter_context(connect(impatient)) for _ in range(30)]
        seconds: list[float] = []
        text = HEAD + b"Content-Length: 400\r\n\r\n" + b" " * 400
        for letter in text[:20]:
            for drip in list(drips):
                try:
                    drip.sendall(bytes([letter]))
                except ConnectionError:
                    drips.remove(drip)
            started = time.monotonic()
            assert httpx.get(f"{impatient.url}/health", trust_env=False).status_code == 200
            seconds.append(time.monotonic() - started)
            time.sleep(0.08)
        assert all(is_closed(drip) for drip in drips)
    assert statistics.median(seconds) < 1, "50 ms on an idle machine"


def test_connections_per_address_are_limited(impatient):
    impatient.wait_until(lambda: not impatient.server.server_state.connections)
    with ExitStack() as stack:
        held = [stack.enter_context(connect(impatient)) for _ in range(40)]
        impatient.wait_until(lambda: len(impatient.server.server_state.connections) == 40)
        with connect(impatient) as one_more:
            assert is_closed(one_more)
        held[0].close()
        impatient.wait_until(lambda: len(impatient.server.server_state.connections) == 39)
        with connect(impatient) as again:
            again.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert b"200" in again.recv(100)


def test_too_many_connections_are_answered_503(model):
    with serving(model, max_connections=5) as own, ExitStack() as stack:
        for _ in range(6):
            stack.enter_context(connect(own))
        own.wait_until(lambda: len(own.server.server_state.connections) == 6)
        with own.client() as client:
            assert client.get("/health").status_code == 503


def test_a_half_closed_connection_is_closed(impatient):
    with connect(impatient) as connection:
        connection.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\n")
        connection.shutdown(socket.SHUT_WR)
        assert is_closed(connection)
    impatient.wait_until(lambda: not impatient.server.server_state.connections)


def test_most_of_a_body_of_100_mb_is_not_read(impatient):
    before = psutil.Process().memory_info().rss
    with connect(impatient) as connection:
        connection.sendall(HEAD + b"Content-Length: 100000000\r\n\r\n")
        sent, block = 0, b" " * 2**20
        try:
            while sent < 100 * 2**20:
                sent += connection.send(block)
        except (ConnectionError, TimeoutError):
            pass
    assert sent < 20 * 2**20, "what the socket's buffers hold"
    assert psutil.Process().memory_info().rss - before < 30 * 2**20


def test_a_body_that_is_too_long_is_answered_though_all_of_it_is_sent_first(server):
    """A connection that is closed with unread data is reset, and the answer may be lost."""
    with connect(server) as connection:
        connection.sendall(HEAD + b"Content-Length: 9000000\r\n\r\n")
        connection.sendall(b" " * 9_000_000)
        assert connection.recv(4096).startswith(b"HTTP/1.1 413")


def test_a_client_that_reads_nothing_is_disconnected(model):
    """The stream is longer than the buffers between server and client."""
    query = b'{"class": 0, "count": 64, "steps": 1000, "response": "stream"}'
    slow = slowed(model, 0.01)
    with serving(slow, stall_seconds=0.5, send_buffer=4096) as own, socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        connection.connect(("127.0.0.1", own.port))
        connection.sendall(HEAD + b"Content-Length: %d\r\n\r\n" % len(query) + query)
        own.wait_until(lambda: own.service.scheduler.count_jobs()["running"] == 1)
        own.wait_until(lambda: own.service.scheduler.count_jobs()["running"] == 0, 60)
        own.wait_until(lambda: not own.server.server_state.connections)


def test_a_slow_client_gets_the_whole_response(model):
    """2 MB, more than the buffers on the way hold, read over three times the timeout."""

    class Noise:
        is_invariant = True

        def __call__(self, x_t, *_):
            return x_t

    noisy = dataclasses.replace(model, shape=(3, 256, 256), batch_denoiser=Noise())
    query = b'{"class": 0, "count": 8, "steps": 1}'
    with (
        serving(noisy, stall_seconds=0.6, send_buffer=16384) as own,
        socket.create_connection(("127.0.0.1", own.port), timeout=20) as slow,
    ):
        slow.sendall(HEAD + b"Content-Length: %d\r\n\r\n" % len(query) + query)
        content = slow.recv(65536)
        head, _, _ = content.partition(b"\r\n\r\n")
        length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
        size = len(head) + 4 + length
        while len(content) < size:
            time.sleep(0.05)
            more = slow.recv(49152)
            assert more, "the connection was closed"
            content += more


def test_pipelined_requests_are_answered_in_order(impatient):
    with connect(impatient) as connection:
        first = b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"
        second = b"GET /v1/models HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        connection.sendall(first * 20 + second)
        connection.settimeout(5)
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    assert answer.count(b"HTTP/1.1 200") == 21
    assert answer.rindex(b'"ok"') < answer.index(b'"pets"')


def test_input_that_is_not_http_is_answered_400(impatient):
    for noise in (b"\x16\x03\x01\x02\x00", b"GET\r\n\r\n", b"\x00" * 100, b"A" * 20_000):
        with connect(impatient) as connection:
            connection.sendall(noise + b"\r\n\r\n")
            assert connection.recv(100)[:12] in (b"HTTP/1.1 400", b"")
