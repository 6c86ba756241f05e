"""A web server on this machine that fails as servers do: it stalls, cuts off, and answers 503."""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Literal

Fault = Literal["", "503", "cut", "stall", "403"]


class FaultyServer(ThreadingHTTPServer):
    """Serves files from memory.

    Args:
        files: Content by path, which begins with a slash.
        faults: What happens to the requests, one after the other; later ones succeed.
        knows_ranges: Whether a part of a file can be asked for.
    """

    daemon_threads = True

    def __init__(
        self, files: dict[str, bytes], faults: Sequence[Fault] = (), *, knows_ranges: bool = True
    ) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.files = files
        self.faults = list(faults)
        self.knows_ranges = knows_ranges
        self.closing = threading.Event()
        self.mutex = threading.Lock()
        self.requests: list[tuple[str, str, str]] = []
        self.sent = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def next_fault(self, method: str, path: str, range_: str) -> Fault:
        with self.mutex:
            self.requests.append((method, path, range_))
            return self.faults.pop(0) if self.faults else ""


class _Handler(BaseHTTPRequestHandler):
    server: FaultyServer

    def log_message(self, *_words: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self.answer(with_body=False)

    def do_GET(self) -> None:
        self.answer(with_body=True)

    def answer(self, *, with_body: bool) -> None:
        asked = self.headers.get("Range", "")
        fault = self.server.next_fault(self.command, self.path, asked)
        content = self.server.files.get(self.path)
        if fault in ("503", "403") or content is None:
            self.send_error(int(fault) if fault in ("503", "403") else 404)
            return
        start = 0
        etag = f'"{hash(content):x}"'
        if asked and self.server.knows_ranges and self.headers.get("If-Range", etag) == etag:
            start = int(asked.removeprefix("bytes=").partition("-")[0])
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        else:
            self.send_response(200)
        self.send_header("Content-Length", str(len(content) - start))
        self.send_header("ETag", etag)
        self.end_headers()
        if with_body:
            self.send_body(content[start:], fault)

    def send_body(self, body: bytes, fault: Fault) -> None:
        part = body[: len(body) // 2] if fault in ("cut", "stall") else body
        self.wfile.write(part)
        self.wfile.flush()
        self.server.sent += len(part)
        if fault == "stall":
            self.server.closing.wait()
        if fault:
            self.close_connection = True


@contextmanager
def serve(
    files: dict[str, bytes], faults: Sequence[Fault] = (), *, knows_ranges: bool = True
) -> Iterator[FaultyServer]:
    """Serve files while the block runs."""
    server = FaultyServer(files, faults, knows_ranges=knows_ranges)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        server.closing.set()
        server.shutdown()
        thread.join()
        server.server_close()
