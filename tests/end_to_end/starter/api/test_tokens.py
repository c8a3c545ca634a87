"""Tokens, good and bad, against an identity provider that publishes its keys over HTTP."""

import asyncio
import base64
import hashlib
import hmac
import json
import threading
import uuid
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1
from cryptography.hazmat.primitives.asymmetric.ec import generate_private_key as generate_curve_key
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

from domain.authority import Caller, Role
from domain.errors import Unavailable
from starter.http import issuer_keys
from starter.http.issuer_keys import IssuerKeys
from starter.http.tokens import NotAuthenticated, TokenChecker

ISSUER, AUDIENCE = "https://identity.example", "sb-transfer"


def rsa_key() -> RSAPrivateKey:
    return generate_private_key(65537, 2048)


KEY, OTHER_KEY = rsa_key(), rsa_key()


class Provider:
    """An identity provider: keys at a url, which can change, fail or be gone."""

    def __init__(self) -> None:
        self.keys: dict[str, RSAPrivateKey] = {"first": KEY}
        self.more: list[dict[str, Any]] = []
        self.broken = False
        self.hangs = False
        self.asked = 0
        provider = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                provider.asked += 1
                if provider.hangs:
                    provider.let_go.wait(60)
                body = provider.published()
                self.send_response(500 if provider.broken else 200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
                """Say nothing: the tests' output is for their failures."""

        self.let_go = threading.Event()
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}/jwks.json"

    def published(self) -> bytes:
        keys = list(self.more)
        for kid, key in self.keys.items():
            public: dict[str, Any] = json.loads(RSAAlgorithm.to_jwk(key.public_key()))
            keys.append({**public, "kid": kid, "use": "sig", "alg": "RS256"})
        return json.dumps({"keys": keys}).encode()

    def stop(self) -> None:
        self.let_go.set()
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def provider() -> Iterator[Provider]:
    """An identity provider of the test's own."""
    started = Provider()
    yield started
    started.stop()


@pytest.fixture
def checker(provider: Provider) -> TokenChecker:
    """What the API checks tokens with."""
    return checking(IssuerKeys(provider.url, refetch_pause_seconds=0))


def checking(keys: IssuerKeys) -> TokenChecker:
    return TokenChecker(issuer=ISSUER, audience=AUDIENCE, keys=keys)


def claims(**changes: Any) -> dict[str, Any]:
    """Return the claims of a good token, with some changed; those changed to None are left out."""
    now = datetime.now(UTC)
    good = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": "u-1",
        "name": "Anna",
        "roles": ["firm"],
        "licence": "10001",
        "iat": now,
        "exp": now + timedelta(minutes=5),
    }
    return {name: value for name, value in {**good, **changes}.items() if value is not None}


def signed(key: Any = KEY, kid: str | None = "first", algorithm: str = "RS256", **changes: Any) -> str:
    return jwt.encode(claims(**changes), key, algorithm=algorithm, headers={"kid": kid} if kid else None)


def by_hand(header: dict[str, Any], signature_of: bytes | None = None) -> str:
    """Return a token that no library would make: unsigned, or signed with HMAC by any bytes as the secret."""
    now = int(datetime.now(UTC).timestamp())
    parts = [header, claims(iat=now, exp=now + 300)]
    text = b".".join(base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=") for part in parts)
    signature = hmac.new(signature_of, text, hashlib.sha256).digest() if signature_of else b""
    return (text + b"." + base64.urlsafe_b64encode(signature).rstrip(b"=")).decode()


def soon(seconds: int) -> datetime:
    return datetime.now(UTC) + timedelta(seconds=seconds)


def public_pem() -> bytes:
    return KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


async def test_a_good_token_says_who_it_is(checker: TokenChecker) -> None:
    """Reads subject, name, roles and licence from a good token."""
    assert await checker.caller(signed()) == Caller(
        subject="u-1", name="Anna", roles=frozenset({Role.FIRM}), licence_number="10001"
    )


BAD: dict[str, Any] = {
    "another issuer": lambda: signed(iss="https://evil.example"),
    "no issuer": lambda: signed(iss=None),
    "for somebody else": lambda: signed(aud="bookkeeping"),
    "for nobody": lambda: signed(aud=None),
    "expired": lambda: signed(exp=soon(-120)),
    "never expires": lambda: signed(exp=None),
    "issued in the future": lambda: signed(iat=soon(120)),
    "not yet valid": lambda: signed(nbf=soon(120)),
    "no moment of issue": lambda: signed(iat=None),
    "no subject": lambda: signed(sub=None),
    "blank subject": lambda: signed(sub=" "),
    "subject that no database holds": lambda: signed(sub="a\x00b"),
    "another's key under our kid": lambda: signed(OTHER_KEY),
    "no kid": lambda: signed(kid=None),
    "unknown kid": lambda: signed(kid="third"),
    "another algorithm than the key's": lambda: signed(algorithm="RS512"),
    "none": lambda: by_hand({"alg": "none", "kid": "first"}),
    "None": lambda: by_hand({"alg": "None", "kid": "first"}),
    "HS256 with the public key": lambda: by_hand({"alg": "HS256", "kid": "first"}, public_pem()),
    "RS256 with an HMAC": lambda: by_hand({"alg": "RS256", "kid": "first"}, public_pem()),
    "key in its own header": lambda: jwt.encode(
        claims(),
        OTHER_KEY,
        algorithm="RS256",
        headers={"kid": "x", "jwk": json.loads(RSAAlgorithm.to_jwk(OTHER_KEY.public_key()))},
    ),
    "altered": lambda: signed()[:-6] + "AAAAAA",
    "two parts": lambda: signed().rsplit(".", 1)[0],
    "no token": lambda: "x",
    "letters of elsewhere": lambda: "é.é.é",
    "no role": lambda: signed(roles=[]),
    "unknown role": lambda: signed(roles=["admin"]),
    "roles of another form": lambda: signed(roles={"firm": True}),
    "unhashable roles": lambda: signed(roles=[["firm"]]),
    "firm without licence": lambda: signed(licence=None),
    "firm with a number as licence": lambda: signed(licence=10001),
    "licence with a space before it": lambda: signed(licence=" 10003"),
    "licence with a space behind it": lambda: signed(licence="10003\u00a0"),
    "licence that does not show as it is": lambda: signed(licence="10003\u200b"),
    "blank licence": lambda: signed(licence=" "),
    "licence of somebody without that role": lambda: signed(roles=["operator"], licence=" 10003"),
}


@pytest.mark.parametrize("what", list(BAD))
async def test_a_bad_token_is_nobodys(checker: TokenChecker, what: str) -> None:
    """Refuses forged, expired, foreign and unsigned tokens."""
    with pytest.raises(NotAuthenticated):
        await checker.caller(BAD[what]())


@pytest.mark.parametrize("changes", [{"exp": -10}, {"iat": 10}, {"nbf": 10}])
async def test_clocks_may_differ_a_little(checker: TokenChecker, changes: dict[str, int]) -> None:
    """Accepts a token whose moments are off by the allowed seconds."""
    times: dict[str, Any] = {name: soon(seconds) for name, seconds in changes.items()}
    assert (await checker.caller(signed(**times))).subject == "u-1"


async def test_keys_are_fetched_once_and_again_for_a_new_key(checker: TokenChecker, provider: Provider) -> None:
    """Fetches the key set once, and again when a token names a new key."""
    for _ in range(3):
        await checker.caller(signed())
    assert provider.asked == 1
    provider.keys["second"] = OTHER_KEY
    assert (await checker.caller(signed(OTHER_KEY, "second"))).subject == "u-1"
    assert provider.asked == 2
    assert (await checker.caller(signed())).subject == "u-1"


async def test_a_withdrawn_key_is_forgotten_with_the_next_fetch(checker: TokenChecker, provider: Provider) -> None:
    """Refuses a withdrawn key's tokens after the next fetch."""
    await checker.caller(signed())
    provider.keys = {"second": OTHER_KEY}
    await checker.caller(signed(OTHER_KEY, "second"))
    with pytest.raises(NotAuthenticated):
        await checker.caller(signed())


async def test_a_token_that_was_good_is_refused_with_its_key_or_its_time(
    checker: TokenChecker, provider: Provider
) -> None:
    """Somebody who asks all day long is not let in any longer than anybody else."""
    long = signed()
    await checker.caller(long)  # fetches the keys
    # Good for twenty seconds more than the clocks may differ by.
    short, over = signed(exp=soon(-10)), soon(21)
    for _ in range(2):
        assert (await checker.caller(short)).subject == (await checker.caller(long)).subject == "u-1"
    await asyncio.sleep((over - datetime.now(UTC)).total_seconds())
    with pytest.raises(NotAuthenticated):
        await checker.caller(short)
    await checker.caller(long)
    provider.keys = {"first": OTHER_KEY, "second": OTHER_KEY}  # the name is that of another key now
    await checker.caller(signed(OTHER_KEY, "second"))
    with pytest.raises(NotAuthenticated):
        await checker.caller(long)


@pytest.mark.parametrize("how", ["broken", "gone"])
async def test_a_provider_that_is_away_is_not_the_callers_fault(provider: Provider, how: str) -> None:
    """Answers 503, not 401, while the identity provider is away."""
    checker = checking(IssuerKeys(provider.url))
    if how == "broken":
        provider.broken = True
    else:
        provider.stop()
    with pytest.raises(Unavailable):
        await checker.caller(signed(sub=str(uuid.uuid4())))


async def test_made_up_key_ids_are_not_passed_on(provider: Provider) -> None:
    """Fetches at most once for any number of made-up key ids."""
    checker = checking(IssuerKeys(provider.url, refetch_pause_seconds=3600))
    for _ in range(5):
        with pytest.raises(NotAuthenticated):
            await checker.caller(signed(kid=str(uuid.uuid4())))
    assert provider.asked == 1


async def test_a_name_is_one_line(checker: TokenChecker) -> None:
    """Takes line ends out of a token's name."""
    assert (await checker.caller(signed(name="Anna\r\nBcc: x@y.nl\x00"))).name == "AnnaBcc: x@y.nl"


async def test_good_tokens_are_checked_while_the_provider_hangs(
    provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Serves 100 of 100 good tokens from what is known, while strangers' made-up key ids cost one fetch together."""
    monkeypatch.setattr(issuer_keys, "_FETCH_SECONDS", 60)
    keys = IssuerKeys(provider.url, refetch_pause_seconds=0, fresh_seconds=0)
    checker = checking(keys)
    await checker.caller(signed())
    provider.hangs = True
    strangers = [asyncio.create_task(checker.caller(signed(kid=str(uuid.uuid4())))) for _ in range(20)]
    while provider.asked < 2:  # noqa: ASYNC110 - it counts in a thread of its own
        await asyncio.sleep(0.01)
    assert [(await checker.caller(signed())).subject for _ in range(100)] == ["u-1"] * 100
    assert not any(stranger.done() for stranger in strangers)
    provider.broken = True
    provider.let_go.set()
    refused = await asyncio.gather(*strangers, return_exceptions=True)
    assert {type(one) for one in refused} == {Unavailable}
    assert provider.asked == 2
    # Not even the first of the next ones waits while it is known that the provider is away.
    provider.let_go.clear()
    monkeypatch.setattr(issuer_keys, "_FETCH_SECONDS", 0.5)
    patient = checking(IssuerKeys(provider.url, refetch_pause_seconds=3600))
    for _ in range(2):
        with pytest.raises(Unavailable):
            await patient.caller(signed())
    while provider.asked < 3:  # noqa: ASYNC110 - as above; the callers have given up before that
        await asyncio.sleep(0.01)
    assert provider.asked == 3


async def test_an_answer_that_trickles_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bounds the whole of a fetch, and not only each wait for a byte."""
    monkeypatch.setattr(issuer_keys, "_FETCH_SECONDS", 0.5)

    async def trickle(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
        with suppress(ConnectionError):
            while True:
                writer.write(b" ")
                await writer.drain()
                await asyncio.sleep(0.05)

    server = await asyncio.start_server(trickle, "127.0.0.1", 0)
    async with server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        async with asyncio.timeout(60):
            with pytest.raises(Unavailable):
                await checking(IssuerKeys(url)).caller(signed())
        server.close()


async def test_a_key_set_that_is_too_large_is_not_read(provider: Provider) -> None:
    """Keeps what is known when the provider's address answers with something else."""
    checker = checking(IssuerKeys(provider.url, refetch_pause_seconds=0))
    await checker.caller(signed())
    provider.more = [{"kid": "x" * 300_000}]
    with pytest.raises(Unavailable):
        await checker.caller(signed(kid="third"))
    assert (await checker.caller(signed())).subject == "u-1"


async def test_an_id_that_no_key_has_is_remembered(provider: Provider) -> None:
    """Asks once for an id that does not exist, however often it is sent."""
    checker = checking(IssuerKeys(provider.url, refetch_pause_seconds=0))
    for _ in range(5):
        with pytest.raises(NotAuthenticated):
            await checker.caller(signed(kid="third"))
    assert provider.asked == 1
    for kid in ("x" * 10_000, ""):
        with pytest.raises(NotAuthenticated):
            await checker.caller(signed(kid=kid))


async def test_two_keys_of_one_id_and_different_types_are_told_apart(checker: TokenChecker, provider: Provider) -> None:
    """Takes the key that is made for the token's algorithm, whichever of the two is published first."""
    curve = generate_curve_key(SECP256R1())
    published: dict[str, Any] = json.loads(ECAlgorithm.to_jwk(curve.public_key()))
    provider.more = [{**published, "kid": "first", "use": "sig"}]
    assert (await checker.caller(signed())).subject == "u-1"
    assert (await checker.caller(signed(curve, algorithm="ES256"))).subject == "u-1"
    # And of one type: the one that has signed it, unless it is published for something else than signing.
    also = {"kid": "first", **json.loads(RSAAlgorithm.to_jwk(OTHER_KEY.public_key()))}
    provider.keys, provider.more = {"first": KEY}, [also]
    other = checking(IssuerKeys(provider.url))
    assert (await other.caller(signed(OTHER_KEY))).subject == "u-1"
    assert (await other.caller(signed())).subject == "u-1"
    provider.more = [{**also, "use": "enc"}]
    with pytest.raises(NotAuthenticated):
        await checking(IssuerKeys(provider.url)).caller(signed(OTHER_KEY))
