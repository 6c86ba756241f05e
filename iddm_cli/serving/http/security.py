"""Security checks before the application; a rejected request is not processed any further.

Servers like this one have repeatedly been made unsafe by five mistakes. The first four are
prevented here; the fifth, paths and addresses chosen by a client, is not possible because no field
carries one:

    answering for any host name   DNS rebinding: the Host must be one of ours
    trusting the browser          CSRF: the Origin must be ours, compared as text, never parsed
    being open to the network     addresses other than loopback need a token
    unbounded reading             a length is required and bounded; no chunks, no compression; all
                                  long bodies together are bounded
"""

import asyncio
import contextlib
import hmac
import ipaddress
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from iddm_cli.serving.scheduling.limits import Limits

LOOPBACK_HOSTS = frozenset({"127.0.0.1", "localhost", "[::1]"})
PUBLIC_PATHS = frozenset({"/", "/app.js", "/zip.js", "/style.css", "/health", "/ready"})
"""Paths that need no token, as they hold no user data."""

UPLOAD_PATHS = frozenset({"/v1/upscale"})
"""Paths whose bodies hold an image, and may be longer."""

LINGER_SECONDS, LINGER_BYTES = 2.0, 10 * 2**20
"""How long, and how much of it, the body of a rejected request is read and discarded."""

METHODS_WITH_BODY = frozenset({"POST", "PUT", "PATCH"})
PORT = re.compile(r":[0-9]{1,5}$")
SECURITY_HEADERS = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}


@dataclass(frozen=True)
class Rejection:
    """The response to a request that failed a check.

    Attributes:
        status: HTTP status.
        code: A short identifier.
        message: What is wrong, or what to do.
        headers: Further headers of the response.
    """

    status: int
    code: str
    message: str
    headers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class AccessPolicy:
    """Who may use the server.

    Attributes:
        hosts: Allowed values of the Host header, in lower case, without a port.
        allow_ip_hosts: Whether any IP address is allowed, too: DNS rebinding needs a name.
        token: The token that a request must carry; None if none is needed.
    """

    hosts: frozenset[str] = LOOPBACK_HOSTS
    allow_ip_hosts: bool = False
    token: str | None = None

    def allows_host(self, host: str) -> bool:
        """Return whether a Host header is allowed."""
        name = PORT.sub("", host.lower())
        return name in self.hosts or (self.allow_ip_hosts and is_ip_address(name))


def is_loopback(host: str) -> bool:
    """Return whether only this machine can reach an address."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


def is_ip_address(name: str) -> bool:
    """Return whether a name is an IP address, in brackets or not."""
    try:
        ipaddress.ip_address(name.removeprefix("[").removesuffix("]"))
    except ValueError:
        return False
    return True


def encode_error(code: str, message: str) -> bytes:
    """Return the JSON form that all errors have."""
    return json.dumps({"error": {"code": code, "type": code, "message": message}}).encode()


class SecurityMiddleware:
    """Rejects requests that must not reach the application, and adds the security headers.

    Args:
        app: The application.
        policy: Who may use the server.
        limits: Bounds on the size of requests.
    """

    def __init__(self, app: ASGIApp, policy: AccessPolicy, limits: Limits) -> None:
        self.app = app
        self.policy = policy
        self.limits = limits
        self._uploading = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Reject a request, or pass it on."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                present = {name for name, _ in message["headers"]}
                extra = [(k.encode(), v.encode()) for k, v in SECURITY_HEADERS.items()]
                message["headers"] = [
                    *message["headers"],
                    *((name, value) for name, value in extra if name not in present),
                ]
            await send(message)

        rejection, size = self.check(scope), 0
        if rejection is None:
            size = self._measure_upload(scope)
            rejection = self._check_uploads(size)
        if rejection is not None:
            await _send_rejection(rejection, receive, send_with_headers)
            return
        self._uploading += size
        try:
            await self.app(scope, receive, send_with_headers)
        finally:
            self._uploading -= size

    def _measure_upload(self, scope: Scope) -> int:
        """Return the bytes of the body of a valid request; 0 if any request may have so many."""
        length = int((_parse_headers(scope["headers"]) or {}).get("content-length", 0))
        return length if length > self.limits.max_body else 0

    def _check_uploads(self, size: int) -> Rejection | None:
        """Reject a long body that does not fit into the memory beside those of other requests."""
        if not size or self._uploading + size <= self.limits.max_uploads:
            return None
        message = "The server holds too many images of other requests; try again in 1 s."
        return Rejection(429, "uploads_full", message, (("retry-after", "1"),))

    def check(self, scope: Scope) -> Rejection | None:
        """Return why a request is rejected, or None."""
        if _head_size(scope) > self.limits.max_head:  # h11 only counts what arrives in parts
            message = f"Send headers of at most {self.limits.max_head} bytes."
            return Rejection(400, "too_large", message)
        headers = _parse_headers(scope["headers"])
        if headers is None:
            return Rejection(400, "bad_header", "A header that must be unique occurs twice.")
        return (
            self._check_host(headers)
            or self._check_origin(scope, headers)
            or self._check_token(scope, headers)
            or self._check_body(scope, headers)
        )

    def _check_host(self, headers: Mapping[str, str]) -> Rejection | None:
        if self.policy.allows_host(headers.get("host", "")):
            return None
        return Rejection(403, "wrong_host", "This host name is not allowed; see --allow-host.")

    def _check_origin(self, scope: Scope, headers: Mapping[str, str]) -> Rejection | None:
        """Reject requests from other sites' pages; a link from there to our page is allowed."""
        host, origin = headers.get("host", "").lower(), headers.get("origin")
        is_link = scope["method"] == "GET" and scope["path"] == "/"
        is_link = is_link and headers.get("sec-fetch-mode") == "navigate"
        cross_site = headers.get("sec-fetch-site", "none") not in ("same-origin", "none")
        wrong_origin = origin is not None and origin not in (f"http://{host}", f"https://{host}")
        if wrong_origin or (cross_site and not is_link):
            message = "Pages of other sites may not send requests to this server."
            return Rejection(403, "wrong_origin", message)
        return None

    def _check_token(self, scope: Scope, headers: Mapping[str, str]) -> Rejection | None:
        if self.policy.token is None or scope["path"] in PUBLIC_PATHS:
            return None
        scheme, _, token = headers.get("authorization", "").partition(" ")
        matches = hmac.compare_digest(token.encode(), self.policy.token.encode())
        if matches and scheme.lower() == "bearer":
            return None
        challenge = (("www-authenticate", "Bearer"),)
        message = "Send the header Authorization: Bearer TOKEN."
        return Rejection(401, "wrong_token", message, challenge)

    def _check_body(self, scope: Scope, headers: Mapping[str, str]) -> Rejection | None:
        if "transfer-encoding" in headers:
            return Rejection(411, "length_required", "Send a Content-Length, no chunks.")
        if "content-encoding" in headers:
            return Rejection(415, "compressed", "Send the body uncompressed.")
        length = headers.get("content-length")
        if scope["method"] not in METHODS_WITH_BODY:
            return None if length in (None, "0") else Rejection(413, "too_large", "Send no body.")
        if length is None:
            return Rejection(411, "length_required", "Send a Content-Length.")
        is_upload = scope["path"] in UPLOAD_PATHS
        limit = self.limits.max_upload if is_upload else self.limits.max_body
        if not length.isascii() or not length.isdigit() or int(length[:20]) > limit:
            return Rejection(413, "too_large", f"Send at most {limit} bytes.")
        if headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
            return Rejection(415, "wrong_type", "Send Content-Type: application/json.")
        return None


def _head_size(scope: Scope) -> int:
    """Return the bytes of the request target and of all headers."""
    target = len(scope["raw_path"]) + len(scope["query_string"])
    return target + sum(len(name) + len(value) for name, value in scope["headers"])


def _parse_headers(headers: list[tuple[bytes, bytes]]) -> dict[str, str] | None:
    """Return headers by name; None if one that the checks rely on occurs twice."""
    parsed: dict[str, str] = {}
    for raw_name, value in headers:
        name = raw_name.decode("latin-1")
        if name in parsed and name in ("host", "origin", "authorization", "content-length"):
            return None
        parsed[name] = value.decode("latin-1")
    return parsed


async def _send_rejection(rejection: Rejection, receive: Receive, send: Send) -> None:
    """Answer, discard some of what the client still sends, and close the connection.

    A connection that is closed with unread data is reset, and a reset may reach the client before
    it has read the answer (RFC 9112, section 9.6).
    """
    body = encode_error(rejection.code, rejection.message)
    headers = {
        "content-type": "application/json",
        "content-length": str(len(body)),
        "connection": "close",
        **dict(rejection.headers),
    }
    raw = [(name.encode(), value.encode()) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": rejection.status, "headers": raw})
    await send({"type": "http.response.body", "body": body, "more_body": True})
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(_discard_body(receive), LINGER_SECONDS)
    await send({"type": "http.response.body", "body": b""})


async def _discard_body(receive: Receive) -> None:
    size, is_open = 0, True
    while is_open and size < LINGER_BYTES:
        message = await receive()
        size += len(message.get("body", b""))
        is_open = message.get("more_body", False)
