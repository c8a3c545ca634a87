"""Who is calling: bearer tokens of the platform, checked with the keys its identity provider publishes (RFC 7519)."""

import time
from collections import OrderedDict
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import jwt
from jwt import PyJWK
from jwt.exceptions import InvalidSignatureError, InvalidTokenError, PyJWTError

from adapters.settings import Settings
from domain.authority import Caller, Role
from domain.errors import Misconfigured, TransferError
from domain.naming import licence_spelling
from starter.http.issuer_keys import KEY_TYPES, IssuerKeys

# Clocks of two well-kept servers differ by less.
_CLOCK_SKEW = timedelta(seconds=30)
_LONGEST_NAME = 200
# Whoever asks often sends one token each time, and to prove it is a fifth of what a short answer costs.
_MOST_PROVED = 500
_LONGEST_PROVED = 4096


class NotAuthenticated(TransferError):
    """This needs a valid bearer token of the platform. Log in again and send the new token."""

    dutch = "Hiervoor is een geldig toegangsbewijs nodig. Log opnieuw in."


@dataclass(frozen=True, slots=True)
class _Proved:
    """A token that was good, and the keys that were published then."""

    key_id: str
    algorithm: str
    keys: list[PyJWK]
    claims: dict[str, Any]

    def is_over(self) -> bool:
        return int(self.claims["exp"]) <= time.time() - _CLOCK_SKEW.total_seconds()


class TokenChecker:
    """Turns a bearer token into a caller."""

    def __init__(self, *, issuer: str, audience: str, keys: IssuerKeys) -> None:
        """Take where tokens come from, whom they must be for, and the issuer's keys."""
        self._issuer = issuer
        self._audience = audience
        self._keys = keys
        self._proved: OrderedDict[str, _Proved] = OrderedDict()

    async def caller(self, token: str) -> Caller:
        """Return whose token this is.

        Raises:
            NotAuthenticated: It is not good; why is nobody's business but the log's.
            Unavailable: The identity provider does not answer, and the token names a key that is not known.
        """
        try:
            return _caller_of(await self.claims(token))
        except ValueError as error:
            raise NotAuthenticated from error

    async def claims(self, token: str) -> dict[str, Any]:
        """Return what a token says, once a key of the issuer's has proved it.

        Raises:
            NotAuthenticated: None does, or what it says does not count here or now.
            Unavailable: The identity provider does not answer, and the token names a key that is not known.
        """
        if (known := self._proved.get(token)) is not None:
            if not known.is_over() and await self._keys.find(known.key_id, known.algorithm) is known.keys:
                return known.claims
            self._proved.pop(token, None)
        try:
            header = jwt.get_unverified_header(token)
            key_id, algorithm = header.get("kid"), header.get("alg")
            if not isinstance(key_id, str) or algorithm not in KEY_TYPES:
                raise InvalidTokenError("of no key of the issuer's")
            keys = await self._keys.find(key_id, algorithm)
            claims = self._prove(token, keys)
        except (PyJWTError, ValueError) as error:
            raise NotAuthenticated from error
        if len(token) <= _LONGEST_PROVED:
            self._proved[token] = _Proved(key_id, algorithm, keys, claims)
            if len(self._proved) > _MOST_PROVED:
                self._proved.popitem(last=False)
        return claims

    def _prove(self, token: str, keys: list[PyJWK]) -> dict[str, Any]:
        """Return what a token says, once a key has proved it.

        Raises:
            PyJWTError: None does, or what it says does not count here or now.
        """
        for key in keys:
            try:
                return jwt.decode(
                    token,
                    key,
                    algorithms=[key.algorithm_name],
                    issuer=self._issuer,
                    audience=self._audience,
                    leeway=_CLOCK_SKEW,
                    options={"require": ["exp", "iat", "iss", "aud", "sub"]},
                )
            except InvalidSignatureError:
                continue
        raise InvalidTokenError("of no key of the issuer's")


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
    # Spelled as the database compares it, or one licence would have as many limits as spellings.
    if licence is not None and not (isinstance(licence, str) and licence and licence == licence_spelling(licence)):
        raise NotAuthenticated
    if Role.FIRM in roles and licence is None:
        raise NotAuthenticated
    given_name = claims.get("name")
    name = "".join(filter(str.isprintable, given_name)).strip() if isinstance(given_name, str) else ""
    return Caller(
        subject=subject[:_LONGEST_NAME],
        name=(name or subject)[:_LONGEST_NAME],
        roles=roles,
        licence_number=licence,
    )


def token_checker(settings: Settings) -> TokenChecker:
    """Return what checks the tokens of the platform's identity provider.

    Raises:
        Misconfigured: A setting without which no token can be checked is missing.
    """
    if not settings.oidc_issuer or not settings.oidc_jwks_url:
        raise Misconfigured(
            "Tokens of the platform's identity provider are to be checked. Set SB_TRANSFER_OIDC_ISSUER and "
            "SB_TRANSFER_OIDC_JWKS_URL and start again."
        )
    return TokenChecker(
        issuer=settings.oidc_issuer, audience=settings.oidc_audience, keys=IssuerKeys(settings.oidc_jwks_url)
    )
