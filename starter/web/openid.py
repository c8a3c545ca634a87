"""The login: OpenID Connect, authorization code with PKCE, by Authlib."""

import asyncio
import time
from dataclasses import dataclass

import httpx
from authlib.oauth2.rfc6749.parameters import prepare_grant_uri, prepare_token_request
from authlib.oauth2.rfc7636 import create_s256_code_challenge
from pydantic import BaseModel, ConfigDict, ValidationError

from adapters.settings import Settings
from domain.errors import Misconfigured, Unavailable
from starter.http.issuer_keys import IssuerKeys
from starter.http.tokens import NotAuthenticated, TokenChecker
from starter.web.sessions import Flow, Session, new_secret

_SCOPE = "openid profile"
_SECONDS = 10.0
_FRESH_SECONDS = 3600.0
# Exchanged so long before its end: a request that is under way must not meet it.
_LEEWAY_SECONDS = 30.0


class LoginFailed(NotAuthenticated):
    """The login did not come to an end. Log in again."""

    dutch = "Het inloggen is niet gelukt. Log opnieuw in."


class _Metadata(BaseModel):
    """What is used of a provider's discovery document (OpenID Connect Discovery, 3)."""

    model_config = ConfigDict(frozen=True)

    issuer: str
    authorization_endpoint: str
    token_endpoint: str


@dataclass(frozen=True, slots=True)
class _Tokens:
    access: str
    refresh: str | None
    identity: str | None
    expires_at: float


class OpenIdClient:
    """Sends people to the identity provider, and takes what it says of them."""

    def __init__(self, settings: Settings, *, transport: httpx.AsyncBaseTransport | None = None) -> None:
        """Take the settings, and how requests travel if not over the network.

        Raises:
            Misconfigured: A setting is missing.
        """
        issuer, jwks, web_url = settings.oidc_issuer, settings.oidc_jwks_url, settings.web_url
        if not issuer or not jwks or not web_url:
            raise Misconfigured(
                "People log in at the platform's identity provider. Set SB_TRANSFER_OIDC_ISSUER, "
                "SB_TRANSFER_OIDC_JWKS_URL and SB_TRANSFER_WEB_URL and start again."
            )
        keys = IssuerKeys(jwks)
        self.is_https = web_url.startswith("https://")
        self._issuer = issuer
        self._client_id = settings.oidc_client_id
        self._secret = settings.oidc_client_secret.get_secret_value() or None
        self._metadata_url = settings.oidc_metadata_url or f"{issuer.rstrip('/')}/.well-known/openid-configuration"
        self._redirect_uri = f"{web_url}/login/callback"
        self._access = TokenChecker(issuer=issuer, audience=settings.oidc_audience, keys=keys)
        self._identity = TokenChecker(issuer=issuer, audience=self._client_id, keys=keys)
        self._transport = transport
        self._known: _Metadata | None = None
        self._known_at = 0.0
        self._asking = asyncio.Lock()

    async def begin(self, where: str) -> tuple[str, Flow]:
        """Return the provider's address for a login, and what has to be remembered of it.

        Raises:
            Unavailable: The provider does not answer.
        """
        flow = Flow(state=new_secret(), verifier=new_secret(), nonce=new_secret(), next=where)
        metadata = await self._metadata()
        address = prepare_grant_uri(
            metadata.authorization_endpoint,
            self._client_id,
            "code",
            redirect_uri=self._redirect_uri,
            scope=_SCOPE,
            state=flow.state,
            nonce=flow.nonce,
            code_challenge=create_s256_code_challenge(flow.verifier),
            code_challenge_method="S256",
        )
        return str(address), flow

    async def finish(self, code: str, flow: Flow) -> Session:
        """Return who has logged in.

        Raises:
            LoginFailed: The provider refuses the code, or its tokens are not good.
            Unavailable: It does not answer.
        """
        tokens = await self._ask(code=code, code_verifier=flow.verifier, grant_type="authorization_code")
        if tokens.identity is None:
            raise LoginFailed
        try:
            identity = await self._identity.claims(tokens.identity)
            caller = await self._access.caller(tokens.access)
        except NotAuthenticated as error:
            raise LoginFailed from error
        if identity.get("nonce") != flow.nonce or str(identity["sub"])[:200] != caller.subject:
            raise LoginFailed
        return Session(
            caller=caller,
            access_token=tokens.access,
            refresh_token=tokens.refresh,
            expires_at=tokens.expires_at,
            began_at=time.time(),
            csrf=new_secret(),
        )

    async def refreshed(self, session: Session) -> Session | None:
        """Return a session whose access token is good for a while; None when a login has to be asked again.

        Raises:
            Unavailable: The provider does not answer.
        """
        if session.expires_at - _LEEWAY_SECONDS > time.time():
            return session
        if session.refresh_token is None:
            return None
        try:
            tokens = await self._ask(grant_type="refresh_token", refresh_token=session.refresh_token)
            caller = await self._access.caller(tokens.access)
        except NotAuthenticated:
            return None
        if caller.subject != session.caller.subject:
            return None
        refresh = tokens.refresh or session.refresh_token
        return session.model_copy(
            update={
                "access_token": tokens.access,
                "refresh_token": refresh,
                "expires_at": tokens.expires_at,
                "caller": caller,
            }
        )

    async def _ask(self, *, grant_type: str, **words: str) -> _Tokens:
        metadata = await self._metadata()
        where = {"redirect_uri": self._redirect_uri} if grant_type == "authorization_code" else {}
        body = prepare_token_request(grant_type, client_id=self._client_id, **where, **words)
        headers = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"}
        try:
            async with self._speak() as http:
                answer = await http.post(metadata.token_endpoint, content=body, headers=headers)
            said = answer.json()
        except (httpx.HTTPError, ValueError) as error:
            raise Unavailable from error
        if answer.is_server_error or not isinstance(said, dict):
            raise Unavailable
        if not answer.is_success:  # RFC 6749, 5.2: a grant that is not good (any more)
            raise LoginFailed
        access, seconds = said.get("access_token"), said.get("expires_in")
        if not isinstance(access, str):
            raise LoginFailed
        return _Tokens(
            access=access,
            refresh=_text(said.get("refresh_token")),
            identity=_text(said.get("id_token")),
            expires_at=time.time() + (float(seconds) if isinstance(seconds, int | float) else 300.0),
        )

    async def _metadata(self) -> _Metadata:
        async with self._asking:
            if self._known is not None and time.monotonic() - self._known_at < _FRESH_SECONDS:
                return self._known
            try:
                async with self._speak() as http:
                    answer = await http.get(self._metadata_url)
                found = _Metadata.model_validate_json(answer.raise_for_status().content)
            except (httpx.HTTPError, ValidationError) as error:
                if self._known is not None:
                    return self._known
                raise Unavailable from error
            if found.issuer != self._issuer:  # a mix-up of providers (RFC 9207)
                raise Unavailable
            self._known, self._known_at = found, time.monotonic()
            return found

    def _speak(self) -> httpx.AsyncClient:
        auth = httpx.BasicAuth(self._client_id, self._secret) if self._secret else None
        return httpx.AsyncClient(transport=self._transport, auth=auth, timeout=_SECONDS)


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None
