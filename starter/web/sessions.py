"""Who is logged in, in encrypted cookies: any instance reads them, and a restart logs nobody out."""

import json
import secrets
import time
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError
from starlette.responses import Response

from domain.authority import Caller, Role
from domain.errors import Misconfigured

# A day's work. Whoever stays longer logs in again; the provider mostly does so without asking.
SESSION_SECONDS = 12 * 3600
_FLOW_SECONDS = 15 * 60
# __Host-: only over TLS (or on loopback), for this host alone, for every path (RFC 6265bis, 4.1.3).
_SESSION = "__Host-sb_transfer"
_FLOW = "__Host-sb_transfer_login"
_TYPED = "__Host-sb_transfer_typed"
# A browser keeps 4,096 bytes of a cookie with its name and attributes.
_PART_BYTES = 3_800
_MOST_PARTS = 4


class Session(BaseModel):
    """Somebody who has logged in; the tokens are the identity provider's."""

    model_config = ConfigDict(frozen=True)

    caller: Caller
    access_token: str = Field(repr=False)
    refresh_token: str | None = Field(default=None, repr=False)
    expires_at: float
    """When the access token has to be exchanged for another; seconds since 1970."""

    began_at: float
    csrf: str = Field(repr=False)

    @property
    def is_support(self) -> bool:
        """Tell whether this is a person of support."""
        return Role.SUPPORT in self.caller.roles

    @property
    def looks_after_all(self) -> bool:
        """Tell whether every transfer is shown to this person."""
        return self.caller.sees_everything()


class Flow(BaseModel):
    """A login on its way to the identity provider and back."""

    model_config = ConfigDict(frozen=True)

    state: str
    verifier: str = Field(repr=False)
    nonce: str
    next: str


class Typed(BaseModel):
    """What somebody had typed when the login ran out, for the page that it was typed into, and for nobody else."""

    model_config = ConfigDict(frozen=True)

    subject: str
    page: str
    values: dict[str, str]


def new_secret() -> str:
    """Return a word that nobody guesses."""
    return secrets.token_urlsafe(32)


class Sessions:
    """Reads and writes the cookies."""

    def __init__(self, keys: Sequence[SecretStr]) -> None:
        """Take the ring of keys, newest first.

        Raises:
            Misconfigured: There is none, or one is unusable; the message shows no key.
        """
        try:
            ring = [Fernet(key.get_secret_value()) for key in keys]
        except ValueError:
            ring = []
        if not ring:
            raise Misconfigured(
                "SB_TRANSFER_WEB_SESSION_KEYS holds no key, or one that is no Fernet key (32 bytes, url-safe base64)."
            )
        self._ring = MultiFernet(ring)

    def session(self, cookies: Mapping[str, str]) -> Session | None:
        """Return who is logged in, None when nobody is (any more)."""
        parts = [cookies.get(_part(number), "") for number in range(_MOST_PARTS)]
        said = self._opened("".join(parts), SESSION_SECONDS)
        try:
            session = Session.model_validate(said)
        except ValidationError:
            return None
        return session if session.began_at + SESSION_SECONDS > time.time() else None

    def keep(self, response: Response, session: Session) -> None:
        """Let a response carry a session; one that is too large for cookies goes without its refresh token."""
        sealed = self._sealed(session)
        if len(sealed) > _PART_BYTES * _MOST_PARTS:
            sealed = self._sealed(session.model_copy(update={"refresh_token": None}))
        for number in range(_MOST_PARTS):
            part = sealed[number * _PART_BYTES : (number + 1) * _PART_BYTES]
            if part:
                _set(response, _part(number), part, SESSION_SECONDS)
            else:
                _drop(response, _part(number))

    def forget(self, response: Response) -> None:
        """Let a response end the session."""
        for number in range(_MOST_PARTS):
            _drop(response, _part(number))

    def flow(self, cookies: Mapping[str, str]) -> Flow | None:
        """Return the login that is under way, None when none is."""
        try:
            return Flow.model_validate(self._opened(cookies.get(_FLOW, ""), _FLOW_SECONDS))
        except ValidationError:
            return None

    def begin(self, response: Response, flow: Flow) -> None:
        """Let a response carry a login."""
        _set(response, _FLOW, self._sealed(flow), _FLOW_SECONDS)

    def end_flow(self, response: Response) -> None:
        """Let a response say that the login is over."""
        _drop(response, _FLOW)

    def seal(self, content: bytes) -> str:
        """Return bytes for a hidden field: nobody but these pages makes or reads them."""
        return self._ring.encrypt(content).decode()

    def unseal(self, sealed: str) -> bytes:
        """Return what `seal` sealed within a session's time.

        Raises:
            InvalidToken: It did not.
        """
        return self._ring.decrypt(sealed.encode(), ttl=SESSION_SECONDS)

    def keep_typed(self, response: Response, typed: Typed) -> None:
        """Let a response carry what was typed, if a cookie holds it."""
        sealed = self._sealed(typed)
        if len(sealed) <= _PART_BYTES:
            _set(response, _TYPED, sealed, _FLOW_SECONDS)

    def typed(self, cookies: Mapping[str, str], *, subject: str, page: str) -> dict[str, str]:
        """Return what this person had typed into this page before logging in again."""
        try:
            typed = Typed.model_validate(self._opened(cookies.get(_TYPED, ""), _FLOW_SECONDS))
        except ValidationError:
            return {}
        return typed.values if (typed.subject, typed.page) == (subject, page) else {}

    def forget_typed(self, response: Response) -> None:
        """Let a response say that what was typed has been sent."""
        _drop(response, _TYPED)

    def _sealed(self, model: BaseModel) -> str:
        return self._ring.encrypt(zlib.compress(model.model_dump_json().encode())).decode()

    def _opened(self, sealed: str, seconds: int) -> Any:
        if not sealed or not sealed.isascii():
            return None
        try:
            return json.loads(zlib.decompress(self._ring.decrypt(sealed.encode(), ttl=seconds)))
        except (InvalidToken, ValueError, zlib.error):
            return None


def _part(number: int) -> str:
    return f"{_SESSION}_{number}" if number else _SESSION


def _set(response: Response, name: str, value: str, seconds: int) -> None:
    # Lax: the provider's answer comes from another site, and must find the login that it belongs to.
    response.set_cookie(name, value, max_age=seconds, path="/", secure=True, httponly=True, samesite="lax")


def _drop(response: Response, name: str) -> None:
    response.delete_cookie(name, path="/", secure=True, httponly=True, samesite="lax")
