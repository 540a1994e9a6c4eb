"""Who may see the operator's page, and which requests are refused before anything looks at them.

What a hostile page in the same browser, or a stranger in the same network, may try, and what stops it:

    another site posts, or reads, in the operator's name   Sec-Fetch-Site, Origin; the cookie is SameSite=Strict
    a name that is rebound to this address (DNS)           the Host header must be on the list
    a script reads the cookie; a frame around the page     HttpOnly; frame-ancestors 'none'
    a stranger opens the page                              nothing is shown without a session; keys are 192 random bits
    a link is seen in a log, or opened twice               its key stands behind `#`, no GET sends it, and it works once
    a token is guessed                                     16 characters at least, and few tries a minute
    a huge or endless request                              bodies of 4 kB at most
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import secrets
import time
from collections import deque
from collections.abc import Mapping

BODY_LIMIT = 4096  # bytes
SESSION_S = 7 * 24 * 3600.0
LINK_S = 15 * 60.0  # of a link for a further device; the one in the terminal waits as long as it takes
TRIES, TRIES_S = 10, 60.0  # wrong keys and tokens, of everybody together
SHORTEST_TOKEN = 16
MOST_SESSIONS = 100
CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": CSP,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
    "Cache-Control": "no-store",
}


class Door:
    """Keys that let somebody in once, and the sessions of those who are in. Only hashes are kept."""

    def __init__(self, token: str | None = None):
        self._token = None if token is None else _hashed(token)
        self._keys: dict[bytes, float] = {}  # until when they let in, on the monotonic clock
        self._sessions: dict[bytes, float] = {}
        self._wrong: deque[float] = deque(maxlen=TRIES)

    def new_key(self, lasts_s: float = LINK_S) -> str:
        """A key that lets one browser in, once."""
        key = secrets.token_urlsafe(24)
        self._keys[_hashed(key)] = time.monotonic() + lasts_s
        return key

    @property
    def closed(self) -> bool:
        """Too many wrong keys in the last minute: nobody new is let in for a while."""
        return len(self._wrong) == TRIES and time.monotonic() - self._wrong[0] < TRIES_S

    def enter(self, key: str) -> str | None:
        """The cookie of a new session for a key, which is used up, or for the token; None for anything else."""
        now = time.monotonic()
        if self.closed:
            return None
        hashed = _hashed(key)
        by_token = self._token is not None and hmac.compare_digest(self._token, hashed)
        if not by_token and self._keys.pop(hashed, 0.0) < now:
            self._wrong.append(now)
            return None
        while len(self._sessions) >= MOST_SESSIONS:
            self._sessions.pop(next(iter(self._sessions)))
        cookie = secrets.token_urlsafe(24)
        self._sessions[_hashed(cookie)] = now + SESSION_S
        return cookie

    def is_inside(self, cookie: str | None) -> bool:
        """Whether a cookie is that of a session."""
        return cookie is not None and self._sessions.get(_hashed(cookie), 0.0) > time.monotonic()

    def leave(self, cookie: str | None) -> None:
        """End the session of a cookie."""
        if cookie is not None:
            self._sessions.pop(_hashed(cookie), None)


def refusal(method: str, path: str, headers: Mapping[str, str], names: frozenset[str], port: int) -> str | None:
    """Why a request is not even looked at; None for one that may be. `headers` in lower case; `names` are the hosts
    under which the page may be asked for."""
    host, _, host_port = headers.get("host", "").rpartition(":")
    if not host:
        host, host_port = headers.get("host", ""), "80"
    if host_port != str(port) or not is_named(host, names):
        return "this page has another name"
    if method not in ("GET", "HEAD", "POST"):
        return "there is nothing to do this way"
    site = headers.get("sec-fetch-site")
    opened = headers.get("sec-fetch-mode") == "navigate" and method == "GET" and path == "/"
    if site not in (None, "none", "same-origin") and not opened:
        return "another site asked"
    if method == "POST":
        if headers.get("origin") != f"http://{headers['host']}":
            return "another site asked, or none"
        if headers.get("content-type", "").partition(";")[0].strip() != "application/json":
            return "only JSON is understood"
    return None


def is_named(host: str, names: frozenset[str]) -> bool:
    """Whether the page may be asked for as `host`. Where it listens everywhere (`*`), any bare address will do: what an
    attacker can rebind is a name."""
    host = host.lower().removeprefix("[").removesuffix("]")
    if host in names:
        return True
    if "*" not in names:
        return False
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def names_of(host: str, machine: str) -> frozenset[str]:
    """Under which names a server that listens at `host`, on the computer called `machine`, may be asked."""
    loopback = {"localhost", "127.0.0.1", "::1"}
    if is_loopback(host):
        return frozenset(loopback | {host})
    machine = machine.lower()
    found = loopback | {host.lower(), machine, f"{machine}.local"}
    try:
        everywhere = ipaddress.ip_address(host).is_unspecified
    except ValueError:
        everywhere = False
    return frozenset(found | {"*"} if everywhere else found)


def is_loopback(host: str) -> bool:
    """Whether only this computer can reach `host`."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _hashed(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()
