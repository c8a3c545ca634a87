"""The keys that an identity provider publishes (JWKS, RFC 7517), kept so that it may be slow, hang, or be away."""

import asyncio
import json
import logging
import ssl
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit
from urllib.request import url2pathname

import httpx
from jwt import PyJWK
from jwt.exceptions import PyJWTError

from domain.errors import Unavailable

_log = logging.getLogger("sb_transfer.identity")
# Asymmetric only: with a shared secret whoever checks a token could make one.
KEY_TYPES: Final = {"RS256": "RSA", "PS256": "RSA", "ES256": "EC", "EdDSA": "OKP"}
# Asked for again after this, so that what the provider withdraws is forgotten without a restart.
_FRESH_SECONDS = 300.0
# Longer than any repair of a provider. Whoever withdrew a key and hides it from us that long owns the network.
_LONGEST_KEPT_SECONDS = 24 * 3600.0
# The whole of an answer, however slowly its bytes come.
_FETCH_SECONDS = 5.0
_LARGEST_BYTES = 256 * 1024
_MOST_KEYS = 200
_LONGEST_ID = 255
# So long an id that no key had costs nothing at all.
_UNKNOWN_SECONDS = 60.0
_MOST_UNKNOWN = 10_000
_FILE = "file://"
_Jwk = dict[str, Any]
_Fetch = Callable[[], Awaitable[bytes]]


class IssuerKeys:
    """Finds keys by their ids.

    Keys that are known serve on while they are fetched anew. Ids that are not known, made-up ones among them, cost one
    fetch for all who ask, and no more than one each `refetch_pause_seconds`.
    """

    def __init__(self, url: str, *, refetch_pause_seconds: float = 10.0, fresh_seconds: float = _FRESH_SECONDS) -> None:
        """Take where the keys are, a https:// or file:// address, and how often they may and must be fetched."""
        self._fetch: _Fetch = _from_file(url) if url.startswith(_FILE) else _over_http(url)
        self._pause_seconds = refetch_pause_seconds
        self._fresh_seconds = fresh_seconds
        self._keys: dict[str, list[_Jwk]] = {}
        self._made: dict[tuple[str, str], list[PyJWK]] = {}
        """Those that were asked for, ready for use."""
        self._unknown: OrderedDict[str, float] = OrderedDict()
        """Ids that no published key had, and when that was seen."""
        self._fetched_at: float | None = None
        self._tried_at: float | None = None
        self._fetching: asyncio.Task[None] | None = None

    async def find(self, key_id: str, algorithm: str) -> list[PyJWK]:
        """Return the keys of this id that are made for this algorithm; two of different types may share an id.

        The same list, until the keys have been fetched again.

        Raises:
            Unavailable: It is not known whether there is one: the provider does not answer.
        """
        if self._fetched_at is not None and self._age() > _LONGEST_KEPT_SECONDS:
            self._keys, self._made, self._fetched_at = {}, {}, None
        if len(key_id) > _LONGEST_ID or self._now() < self._unknown.get(key_id, float("-inf")) + _UNKNOWN_SECONDS:
            return []
        known = self._usable(key_id, algorithm)
        if known:
            if self._age() > self._fresh_seconds and not self._paused():
                self._start_fetch()  # nobody waits for it
            return known
        if self._fetching is None and self._paused():
            self._require_answer()
            return []
        await asyncio.wait({self._start_fetch()})
        found = self._usable(key_id, algorithm)
        if not found:
            self._require_answer()
            self._remember_unknown(key_id)
        return found

    def _usable(self, key_id: str, algorithm: str) -> list[PyJWK]:
        if (known := self._made.get((key_id, algorithm))) is not None:
            return known
        made = []
        for jwk in self._keys.get(key_id, []):
            if jwk.get("kty") == KEY_TYPES.get(algorithm) and jwk.get("alg", algorithm) == algorithm:
                try:
                    made.append(PyJWK(jwk, algorithm))
                except PyJWTError:  # of a curve or a length that the algorithm does not have
                    continue
        if made:  # not of ids that somebody made up
            self._made[key_id, algorithm] = made
        return made

    def _require_answer(self) -> None:
        """Make sure that the provider has said that it has no such key.

        Raises:
            Unavailable: It has not: its last answer is missing.
        """
        answered = self._fetched_at is not None and (self._tried_at is None or self._fetched_at >= self._tried_at)
        if not answered:
            raise Unavailable(
                "The identity provider does not answer. Try again in a moment.",
                dutch="De inlogdienst is even niet bereikbaar. Probeer het zo opnieuw.",
            )

    def _remember_unknown(self, key_id: str) -> None:
        self._unknown[key_id] = self._now()
        if len(self._unknown) > _MOST_UNKNOWN:
            self._unknown.popitem(last=False)

    def _start_fetch(self) -> asyncio.Task[None]:
        if self._fetching is None:
            self._tried_at = self._now()
            self._fetching = asyncio.create_task(self._refresh(), name="issuer keys")
            self._fetching.add_done_callback(self._fetch_ended)
        return self._fetching

    def _fetch_ended(self, _: asyncio.Task[None]) -> None:
        self._fetching = None

    async def _refresh(self) -> None:
        """Fetch the keys; whatever goes wrong, those that are known stay."""
        try:
            async with asyncio.timeout(_FETCH_SECONDS):
                keys = _keys_of(await self._fetch())
        except (OSError, TimeoutError, ValueError, httpx.HTTPError) as error:
            _log.warning("the identity provider's keys cannot be fetched: %s", type(error).__name__)
            return
        self._keys, self._made, self._fetched_at = keys, {}, self._now()
        self._unknown.clear()

    def _paused(self) -> bool:
        return self._tried_at is not None and self._now() < self._tried_at + self._pause_seconds

    def _age(self) -> float:
        return float("inf") if self._fetched_at is None else self._now() - self._fetched_at

    @staticmethod
    def _now() -> float:
        return asyncio.get_running_loop().time()


def _keys_of(document: bytes) -> dict[str, list[_Jwk]]:
    """Read a key set by key id.

    Raises:
        ValueError: It is none.
    """
    read = json.loads(document)
    published = read.get("keys") if isinstance(read, dict) else None
    if not isinstance(published, list):
        raise ValueError("no key set")  # noqa: TRY004 - a document of another form, not a caller's mistake
    keys: dict[str, list[_Jwk]] = {}
    for jwk in published[:_MOST_KEYS]:
        if isinstance(jwk, dict) and isinstance(jwk.get("kid"), str) and jwk.get("use", "sig") == "sig":
            keys.setdefault(jwk["kid"], []).append(jwk)
    return keys


def _from_file(url: str) -> _Fetch:
    """Return how the keys are read from a file: the embedded stack publishes its own there."""
    file = Path(url2pathname(urlsplit(url).path))

    async def fetch() -> bytes:
        return await asyncio.to_thread(file.read_bytes)

    return fetch


def _over_http(url: str) -> _Fetch:
    """Return how the keys are fetched; a redirect is not followed, for it may lead away from TLS."""
    trusted = ssl.create_default_context()

    async def fetch() -> bytes:
        async with (
            httpx.AsyncClient(verify=trusted, timeout=_FETCH_SECONDS) as session,
            session.stream("GET", url, headers={"Accept": "application/json"}) as answer,
        ):
            answer.raise_for_status()
            document = b""
            async for piece in answer.aiter_bytes():
                document += piece
                if len(document) > _LARGEST_BYTES:
                    raise ValueError("larger than any key set")
            return document

    return fetch
