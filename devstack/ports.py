"""Ports on loopback that nobody else gets: neither a client that the kernel gives a port, nor another stack.

The kernel gives outgoing connections their ports from one range. A server's port from that range, free a moment ago,
may be some client's when the server binds it. So ports are taken from outside the range, and kept bound without
listening for as long as their server is to run: Linux lets a server that sets SO_REUSEADDR, as all of ours do, bind
such a port all the same, gives it to no client, and tells whoever looks for a free port that it is not.
"""

import json
import random
import socket
import sys
import weakref
from collections.abc import Iterator
from pathlib import Path

from adapters.private_files import write_private

_HOST = "127.0.0.1"
_CLIENT_RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")
# IANA's dynamic ports, which systems other than Linux give to clients.
_DYNAMIC = (49152, 65535)
# Below are the ports that programs have by custom: 5432, 7233, 8080, 9090.
_LOWEST, _HIGHEST = 16384, 65535
_KEEPS = sys.platform == "linux"
_TRIES = 200


def client_range() -> tuple[int, int]:
    """Return the first and the last port that the kernel gives to outgoing connections."""
    try:
        first, last = (int(word) for word in _CLIENT_RANGE.read_text().split())
    except (OSError, ValueError):
        return _DYNAMIC
    return first, last


def is_free(port: int) -> bool:
    """Tell whether a server could listen on a loopback port now; connections in TIME_WAIT do not count."""
    probe = _bound(port, shared=True)
    if probe is not None:
        probe.close()
    return probe is not None


def free_port() -> int:
    """Return a port that nobody had a moment ago, from outside the clients' range where that leaves any."""
    with _bound_free_port() as probe:
        return _number(probe)


class Ports:
    """The ports of one server by name; a file remembers them from one start to the next."""

    def __init__(self, file: Path, *names: str) -> None:
        """Take the file, in a folder that exists when ports are chosen, and what the ports are for."""
        self._file = file
        self._names = names
        self._chosen: dict[str, int] = {}
        self._are_given = False
        self._kept: list[socket.socket] = []
        weakref.finalize(self, _close, self._kept)

    def __getitem__(self, name: str) -> int:
        """Return a port that has been chosen."""
        if name not in self._chosen:
            raise RuntimeError(f"no {name} has been chosen yet for {self._file.parent}")
        return self._chosen[name]

    def __iter__(self) -> Iterator[int]:
        """Go through the ports that have been chosen."""
        return iter(self._chosen.values())

    def choose(self) -> None:
        """Choose the ports, and keep them: those of the last time, as long as nobody else has taken them meanwhile.

        Until they are let go they stay the same, for their addresses have been given away.
        """
        if self._are_given:
            return
        try:
            known: dict[str, int] = json.loads(self._file.read_text())
        except (FileNotFoundError, ValueError):
            known = {}
        self._chosen = {name: self._choose(known.get(name)) for name in self._names}
        self._are_given = True
        if self._chosen != known:
            write_private(self._file, json.dumps(self._chosen))

    def are_taken(self) -> bool:
        """Tell whether somebody listens on one of them."""
        return not all(is_free(port) for port in self._chosen.values())

    def let_go(self) -> None:
        """Let others have the ports; the next choice prefers the same ones."""
        _close(self._kept)
        self._are_given = False

    def _choose(self, known: int | None) -> int:
        first, last = client_range()
        wanted = known is not None and not first <= known <= last
        keeper = (_bound(known, shared=True) if wanted and known else None) or _bound_free_port()
        # From here on a server that sets it too may bind the port beside us, as long as nobody listens.
        keeper.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        port = _number(keeper)
        if _KEEPS:
            self._kept.append(keeper)
        else:
            keeper.close()
        return port


def _number(bound: socket.socket) -> int:
    port: int = bound.getsockname()[1]
    return port


def _bound(port: int, *, shared: bool) -> socket.socket | None:
    """Return a socket bound to a port, or nothing when somebody has it.

    Args:
        port: 0 is any that the kernel has.
        shared: Whether it may have been bound before, by somebody who does not listen and shares it too.
    """
    probe = socket.socket()
    if shared:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        probe.bind((_HOST, port))
    except OSError:
        probe.close()
        return None
    return probe


def _bound_free_port() -> socket.socket:
    first, last = client_range()
    outside = [port for port in range(_LOWEST, _HIGHEST + 1) if not first <= port <= last]
    for port in random.sample(outside, min(_TRIES, len(outside))):
        if probe := _bound(port, shared=False):
            return probe
    probe = socket.socket()  # the clients' range leaves none
    probe.bind((_HOST, 0))
    return probe


def _close(sockets: list[socket.socket]) -> None:
    while sockets:
        sockets.pop().close()
