"""Who is calling: bearer tokens of the platform, checked with the keys its identity provider publishes (RFC 7519)."""

import asyncio
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit
from urllib.request import url2pathname

import jwt
from jwt import PyJWK, PyJWKClient, PyJWKSet
from jwt.exceptions import InvalidTokenError, PyJWKClientConnectionError, PyJWTError

from domain.authority import Caller, Role
from domain.errors import Misconfigured, TransferError, Unavailable

# Asymmetric only: with a shared secret whoever checks a token could make one.
_ALGORITHMS: Final = ("RS256", "PS256", "ES256", "EdDSA")
# Clocks of two well-kept servers differ by less.
_CLOCK_SKEW = timedelta(seconds=30)
# Keys are asked for again after this, and at once when a token names an unknown one: so a rotation needs no restart.
_KEYS_LIFE_SECONDS = 300
_KEYS_TIMEOUT_SECONDS = 5
# Whoever sends made-up key ids must not make us call the identity provider each time.
_REFETCH_PAUSE_SECONDS = 10.0
_LONGEST_NAME = 200
_FILE = "file://"
_KeyOf = Callable[[str], PyJWK]


class NotAuthenticated(TransferError):
    """This needs a valid bearer token of the platform. Log in again and send the new token."""

    dutch = "Hiervoor is een geldig toegangsbewijs nodig. Log opnieuw in."


class TokenChecker:
    """Turns a bearer token into a caller."""

    def __init__(
        self, *, issuer: str, audience: str, jwks_url: str, refetch_pause_seconds: float = _REFETCH_PAUSE_SECONDS
    ) -> None:
        """Take where tokens come from, whom they must be for, and where the issuer publishes its keys.

        `refetch_pause_seconds` after the keys were fetched, a token with an unknown key makes them be fetched again.
        """
        self._issuer = issuer
        self._audience = audience
        self._key_of = (
            _keys_in_file(jwks_url) if jwks_url.startswith(_FILE) else _published_keys(jwks_url, refetch_pause_seconds)
        )

    async def caller(self, token: str) -> Caller:
        """Return whose token this is.

        Raises:
            NotAuthenticated: It is not good; why is nobody's business but the log's.
            Unavailable: The identity provider does not answer.
        """
        try:
            # The keys come over HTTP by blocking calls, from the cache nearly always.
            key = await asyncio.to_thread(self._key_of, token)
            claims: dict[str, Any] = jwt.decode(
                token,
                key,
                algorithms=list(_ALGORITHMS),
                issuer=self._issuer,
                audience=self._audience,
                leeway=_CLOCK_SKEW,
                options={"require": ["exp", "iat", "iss", "aud", "sub"]},
            )
        except PyJWKClientConnectionError as error:
            raise Unavailable(
                "The identity provider does not answer. Try again in a moment.",
                dutch="De inlogdienst is even niet bereikbaar. Probeer het zo opnieuw.",
            ) from error
        except (PyJWTError, ValueError) as error:
            raise NotAuthenticated from error
        return _caller_of(claims)


def _published_keys(url: str, refetch_pause_seconds: float) -> _KeyOf:
    keys = PyJWKClient(
        url,
        cache_jwk_set=True,
        lifespan=_KEYS_LIFE_SECONDS,
        timeout=_KEYS_TIMEOUT_SECONDS,
        cooldown_duration=refetch_pause_seconds,
    )
    return keys.get_signing_key_from_jwt


def _keys_in_file(url: str) -> _KeyOf:
    """Return how to look up a key in a file: the embedded stack publishes its own there."""
    file = Path(url2pathname(urlsplit(url).path))

    def key_of(token: str) -> PyJWK:
        wanted = jwt.get_unverified_header(token).get("kid")
        for key in PyJWKSet.from_json(file.read_text()).keys:
            if key.key_id == wanted:
                return key
        raise InvalidTokenError("no such key")

    return key_of


def _caller_of(claims: dict[str, Any]) -> Caller:
    """Read the claims of a token whose signature is good.

    Raises:
        NotAuthenticated: They make no sense: a firm's user without a licence, or no role that is known.
    """
    given = claims.get("roles", [])
    words = [given] if isinstance(given, str) else given if isinstance(given, list) else []
    roles = frozenset(Role(word) for word in words if isinstance(word, str) and word in set(Role))
    licence = claims.get("licence")
    subject = claims["sub"]
    # Printable: they go into the log, into SQL and into lines that people read.
    if not roles or not isinstance(subject, str) or not subject.strip() or not subject.isprintable():
        raise NotAuthenticated
    if Role.FIRM in roles and not (isinstance(licence, str) and licence.strip() and licence.isprintable()):
        raise NotAuthenticated
    given_name = claims.get("name")
    name = "".join(filter(str.isprintable, given_name)).strip() if isinstance(given_name, str) else ""
    return Caller(
        subject=subject[:_LONGEST_NAME],
        name=(name or subject)[:_LONGEST_NAME],
        roles=roles,
        licence_number=licence if isinstance(licence, str) else None,
    )


def require_identity_settings(issuer: str | None, jwks_url: str | None) -> tuple[str, str]:
    """Return the settings without which no token can be checked.

    Raises:
        Misconfigured: One is missing.
    """
    if not issuer or not jwks_url:
        raise Misconfigured(
            "The API checks tokens of the platform's identity provider. Set SB_TRANSFER_OIDC_ISSUER and "
            "SB_TRANSFER_OIDC_JWKS_URL and start again."
        )
    return issuer, jwks_url
