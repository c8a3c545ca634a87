"""Where people of the embedded stack log in: OpenID Connect with a choice of people instead of passwords.

An authorization code with PKCE (RFC 7636) and nothing else. Codes and refresh tokens are sealed and kept nowhere, but
for the codes that were used, so a restart logs nobody out. It listens on loopback; settings in earnest refuse its
issuer.
"""

import asyncio
import base64
import hashlib
import json
import logging
import os
import secrets
import sys
import time
from collections.abc import Sequence
from datetime import timedelta
from html import escape
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import asyncpg
from cryptography.fernet import Fernet, InvalidToken
from fastapi import FastAPI, Request, Response
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse

from adapters.private_files import write_private
from adapters.settings import EMBEDDED_ISSUER
from devstack.issuer import EmbeddedIssuer
from domain.authority import Caller, Role
from starter.http.server import serve_until_stopped, uvicorn_config

_log = logging.getLogger("sb_transfer.identity")
CLIENT = "sb-transfer-web"
_CODE_SECONDS = 60
_ACCESS = timedelta(minutes=10)
_REFRESH_SECONDS = 12 * 3600
_MOST_PEOPLE = 100
_NAMES = ("Anna de Vries", "Bram Bakker", "Carola Noord", "Daan Molenaar", "Eva Smit", "Femke Wolters", "Gijs Post")
_STYLE = """
:root{color-scheme:light dark;--ink:#1b2430;--paper:#f6f7f9;--card:#fff;--line:#c9d1da;--accent:#14506e}
@media(prefers-color-scheme:dark){:root{--ink:#e8edf3;--paper:#11161c;--card:#19212a;--line:#3b4855;--accent:#8ccbe8}}
body{font:16px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--paper);margin:0;padding:3rem 1rem}
main{max-width:34rem;margin:0 auto}h1{font-size:1.5rem}
button{display:block;width:100%;text-align:left;font:inherit;color:inherit;background:var(--card);cursor:pointer;
border:1px solid var(--line);border-radius:8px;padding:.8rem 1rem;margin:.5rem 0}
button:hover{border-color:var(--accent)}button:focus-visible{outline:3px solid var(--accent);outline-offset:2px}
small{display:block;opacity:.8}
"""
_HEADERS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer"}


class IdentityProvider:
    """What the routes know."""

    def __init__(self, folder: Path, *, url: str, client_url: str, people: Sequence[Caller]) -> None:
        """Take the stack's folder, this server's address, where the pages are, and who can log in."""
        self.issuer = EmbeddedIssuer(folder)
        self.url = url
        self.redirect_uri = f"{client_url.rstrip('/')}/login/callback"
        self.people = {person.subject: person for person in people}
        self._seal = Fernet(_kept_key(folder / "identity-key"))
        self._used: dict[str, float] = {}

    def sealed(self, kind: str, life_seconds: int, **said: Any) -> str:
        """Return a code or a refresh token."""
        until = time.time() + life_seconds
        return self._seal.encrypt(
            json.dumps({"kind": kind, "until": until, "id": secrets.token_hex(8), **said}).encode()
        ).decode()

    def opened(self, kind: str, token: str) -> dict[str, Any] | None:
        """Return what `sealed` sealed, None when it is no such thing, or too old."""
        try:
            said: dict[str, Any] = json.loads(self._seal.decrypt(token.encode()))
        except (InvalidToken, ValueError):
            return None
        return said if said["kind"] == kind and said["until"] > time.time() else None

    def use(self, code: dict[str, Any]) -> bool:
        """Tell whether a code is used for the first time."""
        now = time.time()
        self._used = {one: until for one, until in self._used.items() if until > now}
        if code["id"] in self._used:
            return False
        self._used[code["id"]] = code["until"]
        return True

    def tokens(self, person: Caller, *, nonce: str | None = None) -> dict[str, Any]:
        """Return what a login is answered with."""
        return {
            "access_token": self.issuer.token(person, _ACCESS),
            "id_token": self.issuer.id_token(person, _ACCESS, client_id=CLIENT, nonce=nonce),
            "refresh_token": self.sealed("refresh", _REFRESH_SECONDS, person=person.model_dump(mode="json")),
            "token_type": "Bearer",
            "expires_in": int(_ACCESS.total_seconds()),
        }


def people_of(licences: Sequence[tuple[str, str]]) -> list[Caller]:
    """Return who can log in: a person of each licence (number and holder), one of support, and an operator."""
    found = [
        Caller(
            subject=f"firm:{number}",
            name=_NAMES[place % len(_NAMES)],
            roles=frozenset({Role.FIRM}),
            licence_number=number,
        )
        for place, (number, _) in enumerate(licences)
    ]
    return [
        *found,
        Caller(subject="support", name="Sanne Kok", roles=frozenset({Role.SUPPORT})),
        Caller(subject="operator", name="Omar Haddad", roles=frozenset({Role.OPERATOR})),
    ]


def build_identity_provider(  # noqa: C901 - one small function for each route
    provider: IdentityProvider, holders: dict[str, str]
) -> FastAPI:
    """Return the application; `holders` says by number who holds a licence."""
    app = FastAPI(title="sb-transfer identity provider", docs_url=None, redoc_url=None, openapi_url=None)

    @app.get("/.well-known/openid-configuration")
    async def metadata() -> dict[str, Any]:
        return {
            "issuer": EMBEDDED_ISSUER,
            "authorization_endpoint": f"{provider.url}/authorize",
            "token_endpoint": f"{provider.url}/token",
            "jwks_uri": f"{provider.url}/jwks.json",
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["EdDSA"],
            "code_challenge_methods_supported": ["S256"],
            "token_endpoint_auth_methods_supported": ["none"],
        }

    @app.get("/jwks.json")
    async def jwks() -> dict[str, Any]:
        return provider.issuer.keys()

    @app.get("/style.css")
    async def style() -> Response:
        return Response(_STYLE, media_type="text/css")

    @app.get("/authorize")
    async def choose(request: Request) -> Response:
        asked = request.query_params
        if asked.get("client_id") != CLIENT or asked.get("redirect_uri") != provider.redirect_uri:
            return HTMLResponse("<!doctype html><title>?</title><p>Unknown client.", 400, headers=_HEADERS)
        if asked.get("response_type") != "code" or asked.get("code_challenge_method") != "S256":
            answer = urlencode({"error": "invalid_request", "state": asked.get("state", "")})
            return RedirectResponse(f"{provider.redirect_uri}?{answer}", 303)
        return HTMLResponse(_page(provider, holders, request.url.query), headers={**_HEADERS, **_policy(provider)})

    @app.post("/authorize")
    async def chosen(request: Request) -> Response:
        asked, form = request.query_params, await request.form()
        person = provider.people.get(str(form.get("person", "")))
        if person is None or asked.get("client_id") != CLIENT or asked.get("redirect_uri") != provider.redirect_uri:
            return HTMLResponse("<!doctype html><title>?</title><p>Unknown person.", 400, headers=_HEADERS)
        code = provider.sealed(
            "code",
            _CODE_SECONDS,
            person=person.model_dump(mode="json"),
            challenge=asked.get("code_challenge", ""),
            nonce=asked.get("nonce"),
        )
        answer = urlencode({"code": code, "state": asked.get("state", "")})
        return RedirectResponse(f"{provider.redirect_uri}?{answer}", 303, headers=_HEADERS)

    @app.post("/token")
    async def token(request: Request) -> Response:
        form = {name: str(value) for name, value in (await request.form()).items()}
        if form.get("grant_type") == "refresh_token":
            kept = provider.opened("refresh", form.get("refresh_token", ""))
            return _answer(provider.tokens(Caller.model_validate(kept["person"])) if kept else None)
        code = provider.opened("code", form.get("code", ""))
        proof = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        challenge = base64.urlsafe_b64encode(proof).rstrip(b"=").decode()
        good = (
            code is not None
            and form.get("grant_type") == "authorization_code"
            and form.get("redirect_uri") == provider.redirect_uri
            and secrets.compare_digest(code["challenge"], challenge)
            and provider.use(code)
        )
        if code is None or not good:
            return _answer(None)
        return _answer(provider.tokens(Caller.model_validate(code["person"]), nonce=code["nonce"]))

    return app


def _answer(tokens: dict[str, Any] | None) -> JSONResponse:
    if tokens is None:
        return JSONResponse({"error": "invalid_grant"}, 400, headers=_HEADERS)
    return JSONResponse(tokens, headers=_HEADERS)


def _policy(provider: IdentityProvider) -> dict[str, str]:
    back = provider.redirect_uri.removesuffix("/login/callback")
    return {
        "Content-Security-Policy": f"default-src 'none'; style-src 'self'; form-action 'self' {back}; "
        "frame-ancestors 'none'; base-uri 'none'"
    }


def _page(provider: IdentityProvider, holders: dict[str, str], query: str) -> str:
    buttons = "".join(
        f'<button name="person" value="{escape(person.subject)}">{escape(person.name)}'
        f"<small>{escape(_capacity(person, holders))}</small></button>"
        for person in provider.people.values()
    )
    return (
        '<!doctype html><html lang="nl"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1"><title>Inloggen</title>'
        '<link rel="stylesheet" href="/style.css"></head><body><main><h1>Wie bent u?</h1>'
        "<p>Deze proefopstelling vraagt geen wachtwoord: kies als wie u inlogt.</p>"
        f'<form method="post" action="/authorize?{escape(query)}">{buttons}</form></main></body></html>'
    )


def _capacity(person: Caller, holders: dict[str, str]) -> str:
    if person.licence_number:
        return f"{holders.get(person.licence_number, '')} (licentie {person.licence_number})"
    return "Support" if Role.SUPPORT in person.roles else "Beheer"


def _kept_key(file: Path) -> bytes:
    if not file.exists():
        write_private(file, Fernet.generate_key().decode() + "\n")
    return file.read_text().strip().encode()


async def _licences(database_url: str) -> list[tuple[str, str]]:
    connection = await asyncpg.connect(database_url)
    try:
        rows = await connection.fetch(
            "select licence_number, holder_name from control.licence order by licence_number limit $1", _MOST_PEOPLE
        )
        return [(row["licence_number"], row["holder_name"]) for row in rows]
    finally:
        await connection.close()


async def _serve() -> None:
    """Serve who is in the database when somebody comes to log in."""
    given = os.environ
    host, port = given["SB_TRANSFER_IDENTITY_HOST"], int(given["SB_TRANSFER_IDENTITY_PORT"])
    provider = IdentityProvider(
        Path(given["SB_TRANSFER_IDENTITY_FOLDER"]),
        url=f"http://{host}:{port}",
        client_url=given["SB_TRANSFER_IDENTITY_CLIENT"],
        people=[],
    )
    holders: dict[str, str] = {}
    app = build_identity_provider(provider, holders)

    @app.middleware("http")
    async def look_up(request: Request, call_next: Any) -> Response:
        if request.url.path == "/authorize":  # a seed comes after the start
            found = await _licences(given["SB_TRANSFER_DATABASE_URL"])
            holders.update(found)
            provider.people = {person.subject: person for person in people_of(found)}
        answer: Response = await call_next(request)
        return answer

    await serve_until_stopped(uvicorn_config(app, host, port, grace_seconds=2), _log)


if __name__ == "__main__":
    asyncio.run(_serve())
    sys.exit(0)
