"""Where an endpoint may be: nowhere inside the network, by whatever name or spelling, unless the settings say so.

Who registers an endpoint chooses what this service connects to. A name is therefore resolved by us, each of its
addresses judged, and the connection made to one that was judged (OWASP, Server-Side Request Forgery Prevention).
"""

import asyncio
import socket
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network
from urllib.parse import SplitResult, urlsplit

from domain.errors import WebhookUrlRefused
from domain.webhooks import WebhookProblem

Address = IPv4Address | IPv6Address
_RESOLVE_SECONDS = 5.0
_LONGEST_URL = 2_000
_PORTS = {"https": 443, "http": 80}
# IPv6 addresses with an IPv4 address inside, by where it begins: a translation or tunnel leads there.
# RFC 6052, RFC 8215, RFC 3056, RFC 4291.
_EMBEDDING = (
    (IPv6Network("64:ff9b::/96"), 0),
    (IPv6Network("64:ff9b:1::/48"), 0),
    (IPv6Network("2002::/16"), 80),
    (IPv6Network("::ffff:0:0/96"), 0),
    (IPv6Network("::/96"), 0),
)
_NOWHERE = (
    ip_network("2001::/32"),  # Teredo, RFC 4380: the address inside is disguised
    ip_network("192.88.99.0/24"),  # relays to 6to4, RFC 7526
    ip_network("fec0::/10"),  # what was site-local, RFC 3879
)


class AddressRefused(Exception):
    """A delivery cannot go there; `problem` says why."""

    def __init__(self, problem: WebhookProblem) -> None:
        super().__init__(problem.value)
        self.problem = problem


@dataclass(frozen=True, slots=True)
class Target:
    """An endpoint's url, taken apart."""

    scheme: str
    host: str
    port: int
    rest: str
    """Path and query."""

    @property
    def host_header(self) -> str:
        """Return what the header Host says."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"

    def at(self, address: Address) -> str:
        """Return the url with an address in place of its name."""
        host = f"[{address}]" if isinstance(address, IPv6Address) else str(address)
        return f"{self.scheme}://{host}:{self.port}{self.rest}"


class AddressRules:
    """Judges urls and addresses; `allowed` are networks inside which endpoints may be, over plain HTTP too."""

    def __init__(self, allowed: Sequence[str] = ()) -> None:
        self._allowed = [ip_network(one) for one in allowed]

    def target_of(self, url: str) -> Target:
        """Take a url apart.

        Raises:
            WebhookUrlRefused: It is no url that events can be sent to.
        """
        try:
            parts = urlsplit(url)
            host, port = _host_of(parts), parts.port
        except ValueError:
            raise WebhookUrlRefused from None
        plain = parts.scheme == "http" and bool(self._allowed)
        if not (parts.scheme == "https" or plain) or not host or port == 0 or len(url) > _LONGEST_URL:
            raise WebhookUrlRefused
        if parts.username is not None or parts.password is not None or parts.fragment or _has_odd_characters(url):
            raise WebhookUrlRefused
        rest = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        return Target(parts.scheme, host, port or _PORTS[parts.scheme], rest)

    async def addresses_of(self, target: Target) -> list[Address]:
        """Return every address of an endpoint.

        Raises:
            AddressRefused: It has none, or one that is inside the network.
        """
        found = await _resolved(target)
        if not all(self._may_be(address, target.scheme) for address in found):
            raise AddressRefused(WebhookProblem.ADDRESS_INSIDE)
        return found

    async def require_allowed(self, url: str) -> None:
        """Make sure that events may be sent to a url; a name that is not known yet may become known.

        Raises:
            WebhookUrlRefused: They may not.
        """
        target = self.target_of(url)
        try:
            await self.addresses_of(target)
        except AddressRefused as refused:
            if refused.problem is WebhookProblem.ADDRESS_INSIDE:
                raise WebhookUrlRefused from None

    def _may_be(self, address: Address, scheme: str) -> bool:
        if any(address in network for network in self._allowed if network.version == address.version):
            return True
        return scheme == "https" and all(_is_outside(one) for one in _meant_by(address))


def _host_of(parts: SplitResult) -> str:
    host = (parts.hostname or "").rstrip(".")
    if "%" in host:  # the zone of a link-local address
        raise ValueError
    try:
        return str(ip_address(host))
    except ValueError:
        return host.encode("idna").decode()


def _has_odd_characters(url: str) -> bool:
    return any(character <= " " or character in "\\\x7f" for character in url)


async def _resolved(target: Target) -> list[Address]:
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(_RESOLVE_SECONDS):
            found = await loop.getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError, TimeoutError):
        raise AddressRefused(WebhookProblem.NOT_RESOLVED) from None
    addresses = dict.fromkeys(ip_address(str(one[4][0]).partition("%")[0]) for one in found)
    if not addresses:
        raise AddressRefused(WebhookProblem.NOT_RESOLVED)
    return list(addresses)


def _meant_by(address: Address) -> Iterator[Address]:
    """Yield an address, and the one that it carries inside itself."""
    if isinstance(address, IPv6Address):
        for network, shift in _EMBEDDING:
            if address in network:
                yield IPv4Address(int(address) >> shift & 0xFFFFFFFF)
                return
    yield address


def _is_outside(address: Address) -> bool:
    elsewhere = any(address in network for network in _NOWHERE if network.version == address.version)
    return address.is_global and not address.is_multicast and not address.is_reserved and not elsewhere
