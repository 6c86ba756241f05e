"""Security: the gate before the application. What it refuses is never read any further.

Five mistakes made servers like this one unsafe again and again; the first four end here, the fifth,
paths and addresses named by a client, has no field that could carry one:

    answering under any name     DNS rebinding: the Host must be one of ours
    trusting the browser         CSRF: the Origin must be our own, compared as text, never parsed
    being open to the network    other addresses than loopback need a token
    reading without bound        a length is required and bounded; no chunks, no compression
"""

import hmac
import ipaddress
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from iddm_cli.serving.scheduling.limits import Limits

LOOPBACK_HOSTS = frozenset({"127.0.0.1", "localhost", "[::1]"})
OPEN = frozenset({"/", "/app.js", "/zip.js", "/style.css", "/health", "/ready"})
"""What needs no token: nothing here is anybody's."""

METHODS_WITH_BODY = frozenset({"POST", "PUT", "PATCH"})
PORT = re.compile(r":[0-9]{1,5}$")
HEADERS = {
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
    """Why a request goes no further.

    Attributes:
        status: HTTP status.
        code: The same in a word.
        message: What is wrong, and what to do.
        headers: Further headers of the answer.
    """

    status: int
    code: str
    message: str
    headers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class AccessPolicy:
    """Who may ask.

    Attributes:
        names: Hosts under which the server is reached, as they stand in the Host header, no port.
        any_address: Whether any numeric address is one of them: a name is what rebinding needs.
        token: What a request must show; None: nothing.
    """

    names: frozenset[str] = LOOPBACK_HOSTS
    allow_ip_hosts: bool = False
    token: str | None = None

    def allows_host(self, host: str) -> bool:
        """Say whether the server is reached under this Host header."""
        name = PORT.sub("", host.lower())
        return name in self.names or (self.allow_ip_hosts and is_ip_address(name))


def is_loopback(host: str) -> bool:
    """Say whether only this machine can reach that address."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


def is_ip_address(name: str) -> bool:
    """Say whether a name is a numeric address, in brackets or not."""
    try:
        ipaddress.ip_address(name.removeprefix("[").removesuffix("]"))
    except ValueError:
        return False
    return True


def error_body(code: str, message: str) -> bytes:
    """Return the one form that errors have."""
    return json.dumps({"error": {"code": code, "type": code, "message": message}}).encode()


class SecurityMiddleware:
    """Refuses what must not reach the application, and adds the headers of every answer.

    Args:
        app: The application.
        policy: Who may ask.
        limits: How much they may send.
    """

    def __init__(self, app: ASGIApp, policy: AccessPolicy, limits: Limits) -> None:
        self.app = app
        self.policy = policy
        self.limits = limits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or pass it on."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                own = {name for name, _ in message["headers"]}
                extra = [(k.encode(), v.encode()) for k, v in HEADERS.items()]
                message["headers"] = [
                    *message["headers"],
                    *((name, value) for name, value in extra if name not in own),
                ]
            await send(message)

        if refusal := self.refuse(scope):
            await _answer(refusal, send_with_headers)
        else:
            await self.app(scope, receive, send_with_headers)

    def refuse(self, scope: Scope) -> Rejection | None:
        """Return why a request goes no further, or None."""
        if _head_bytes(scope) > self.limits.head:  # h11 counts only what comes in parts
            return Rejection(400, "too_large", f"Send headers of at most {self.limits.head} bytes.")
        headers = _single(scope["headers"])
        if headers is None:
            return Rejection(400, "bad_header", "A header that must stand once stands twice.")
        return (
            self._refuse_host(headers)
            or self._refuse_page(scope, headers)
            or self._refuse_token(scope, headers)
            or self._refuse_body(scope, headers)
        )

    def _refuse_host(self, headers: Mapping[str, str]) -> Rejection | None:
        if self.policy.allows_host(headers.get("host", "")):
            return None
        return Rejection(
            403, "wrong_host", "This server is not reached under that name; see --allow-host."
        )

    def _refuse_page(self, scope: Scope, headers: Mapping[str, str]) -> Rejection | None:
        """Refuse what another site's page asks; a link from there to our page is fine."""
        host, origin = headers.get("host", "").lower(), headers.get("origin")
        link = scope["method"] == "GET" and scope["path"] == "/"
        link = link and headers.get("sec-fetch-mode") == "navigate"
        foreign = headers.get("sec-fetch-site", "none") not in ("same-origin", "none")
        strange = origin is not None and origin not in (f"http://{host}", f"https://{host}")
        if strange or (foreign and not link):
            return Rejection(403, "wrong_origin", "Pages of other sites may not ask this server.")
        return None

    def _refuse_token(self, scope: Scope, headers: Mapping[str, str]) -> Rejection | None:
        if self.policy.token is None or scope["path"] in OPEN:
            return None
        kind, _, shown = headers.get("authorization", "").partition(" ")
        right = hmac.compare_digest(shown.encode(), self.policy.token.encode())
        if right and kind.lower() == "bearer":
            return None
        again = (("www-authenticate", "Bearer"),)
        return Rejection(401, "wrong_token", "Send the header Authorization: Bearer TOKEN.", again)

    def _refuse_body(self, scope: Scope, headers: Mapping[str, str]) -> Rejection | None:
        if "transfer-encoding" in headers:
            return Rejection(411, "length_required", "Send a Content-Length, no chunks.")
        if "content-encoding" in headers:
            return Rejection(415, "compressed", "Send the body as it is, not compressed.")
        length = headers.get("content-length")
        if scope["method"] not in METHODS_WITH_BODY:
            return None if length in (None, "0") else Rejection(413, "too_large", "Send no body.")
        if length is None:
            return Rejection(411, "length_required", "Send a Content-Length.")
        if not length.isascii() or not length.isdigit() or int(length[:20]) > self.limits.body:
            return Rejection(413, "too_large", f"Send at most {self.limits.body} bytes.")
        if headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
            return Rejection(415, "wrong_type", "Send Content-Type: application/json.")
        return None


def _head_bytes(scope: Scope) -> int:
    line = len(scope["raw_path"]) + len(scope["query_string"])
    return line + sum(len(name) + len(value) for name, value in scope["headers"])


def _single(headers: list[tuple[bytes, bytes]]) -> dict[str, str] | None:
    """Return headers by name; None where one that decides something is there twice."""
    found: dict[str, str] = {}
    for raw, value in headers:
        name = raw.decode("latin-1")
        if name in found and name in ("host", "origin", "authorization", "content-length"):
            return None
        found[name] = value.decode("latin-1")
    return found


async def _answer(refusal: Rejection, send: Send) -> None:
    """Refuse, and close: what the client still sends is not read."""
    body = error_body(refusal.code, refusal.message)
    headers = {
        "content-type": "application/json",
        "content-length": str(len(body)),
        "connection": "close",
        **dict(refusal.headers),
    }
    raw = [(name.encode(), value.encode()) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": refusal.status, "headers": raw})
    await send({"type": "http.response.body", "body": body})
