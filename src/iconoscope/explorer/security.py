"""Who may ask: the explorer answers the browser that was given its address, on this machine, and nobody else.

A page of the internet that is open in the same browser can send requests to this machine too. It does not know the token; a
name of its own that it lets point here (DNS rebinding) is refused by its `Host`, a form or a script that it sends by its
`Origin`.
"""

from __future__ import annotations

import hmac
import ipaddress
import re
import secrets
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field

__all__ = ["LONGEST", "LOOPBACK", "AccessRules", "security_headers"]

LOOPBACK = ("127.0.0.1", "localhost", "::1")
LONGEST = 2**20
"""Bytes of a question at most: the numbers of a hundred thousand chosen images."""

_WILDCARDS = ("0.0.0.0", "::", "")

_POLICY = {
    "default-src": "'none'",
    "script-src": "'self'",
    "style-src": "'self'",
    "img-src": "'self' data: blob:",
    "media-src": "'self' blob:",
    "font-src": "'self'",
    "connect-src": "'self'",
    "frame-src": "'self'",
    "base-uri": "'none'",
    "form-action": "'none'",
    "frame-ancestors": "'self'",
}
"""What the explorer's own pages may load: nothing from elsewhere, and no script that stands in a page."""

_REPORT_POLICY = {
    "sandbox": "allow-scripts allow-popups",
    "default-src": "'none'",
    "script-src": "'unsafe-inline'",
    "style-src": "'unsafe-inline'",
    "img-src": "data: blob:",
    "frame-ancestors": "'self'",
}
"""A report has its scripts in itself. It is put into a sandbox, where it can ask nothing of the explorer."""


_HOST = re.compile(r"(?:\[(?P<v6>[^\[\]]+)\]|(?P<name>[^:\[\]]+))(?::(?P<port>[0-9]{1,5}))?")


def security_headers(*, report: bool = False) -> dict[str, str]:
    """Give the headers of every answer; those of a whole report let it run the scripts that stand in it, in a sandbox."""
    policy = _REPORT_POLICY if report else _POLICY
    return {
        "content-security-policy": "; ".join(f"{name} {value}" for name, value in policy.items()),
        "x-content-type-options": "nosniff",
        "referrer-policy": "no-referrer",
        "cross-origin-resource-policy": "same-origin",
        "cross-origin-opener-policy": "same-origin",
    }


@dataclass(frozen=True)
class AccessRules:
    """Who is answered.

    Attributes
    ----------
    host
        The address that is listened at.
    port
        Its port.
    token
        Random; whoever has the address has it.
    """

    host: str
    port: int
    token: str = field(default_factory=lambda: secrets.token_urlsafe(24), repr=False)

    @property
    def address(self) -> str:
        """The address to open, with the token."""
        return f"http://{self._authority}/?token={self.token}"

    @property
    def _authority(self) -> str:
        host = socket.gethostname() if self.host in _WILDCARDS else self.host
        return f"[{host}]:{self.port}" if ":" in host else f"{host}:{self.port}"

    @property
    def cookie(self) -> str:
        """The cookie's name. It has the port in it, since a browser gives a cookie to all ports of a machine."""
        return f"iconoscope-{self.port}"

    def cookie_header(self) -> str:
        """Give the cookie that stands for the token from then on; no script can read it, and no other site sends it."""
        return f"{self.cookie}={self.token}; Path=/; HttpOnly; SameSite=Strict"

    def is_token(self, token: str) -> bool:
        """Tell whether it is the token, in a time that does not depend on how much of it is right."""
        return hmac.compare_digest(token.encode(), self.token.encode())

    def refusal(self, method: str, path: str, headers: Mapping[str, str]) -> str:
        """Say why a request is refused, apart from its token; empty if it is not.

        Parameters
        ----------
        method, path
            What is asked for.
        headers
            Its headers, by their names in small letters.
        """
        host = headers.get("host", "")
        if not self._is_own(host):
            return "The explorer is not known by this name."
        origin = headers.get("origin")
        if origin is not None and origin != f"http://{host}":
            return "Another site may not ask the explorer."
        reading_a_page = method == "GET" and not path.startswith("/api/")
        if not reading_a_page and headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
            return "Another site may not ask the explorer."
        return ""

    def _is_own(self, host: str) -> bool:
        """Tell whether a request was sent to a name of this machine, and not to one that somebody else lets point here."""
        named = _HOST.fullmatch(host)
        if named is None:
            return False
        name, port = (named["name"] or named["v6"]).lower(), named["port"] or "80"  # which a browser leaves out
        if name in LOOPBACK:  # a tunnel may end at another port
            return True
        if port != str(self.port) or (name != self.host.lower() and self.host not in _WILDCARDS):
            return False
        if name == self.host.lower():
            return True
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return name in (socket.gethostname().lower(), socket.getfqdn().lower())
        return True  # an address was typed: what lets a name point here is a name

    def is_admitted(self, headers: Mapping[str, str]) -> bool:
        """Tell whether a request has the cookie."""
        # Another program at this address may have cookies of any form: only what stands between semicolons is sure.
        pairs = (pair.partition("=") for pair in headers.get("cookie", "").split(";"))
        return any(name.strip() == self.cookie and self.is_token(value.strip()) for name, _, value in pairs)
