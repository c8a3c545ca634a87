"""Who may read histories, and the record of who did."""

import asyncio
import logging
import re
from dataclasses import dataclass, field
from typing import Literal

from fastapi import Request

from adapters.api_store.decode_audit import DecodeRecord, PostgresDecodeAudit
from adapters.crypto.payload_codec import EncryptingCodec
from domain.authority import Action, Caller, Role
from starter.http.problems import NotAllowed
from starter.http.tokens import NotAuthenticated, TokenChecker

_log = logging.getLogger("sb_transfer.codec")
# Temporal takes names of up to 255 bytes; whatever else is sent is not worth writing down.
_NAMESPACE = re.compile(r"[\w.-]{1,255}")
# Each keeps a core busy and holds some hundred megabytes.
_MOST_CONVERSIONS = 2
_WHO = "Operators and support may read histories. Log in to the Temporal UI as one of them, or ask one."
_WHO_NL = (
    "Beheerders en support mogen geschiedenissen lezen. Log in op de Temporal UI als een van hen, of vraag het een."
)
LOCAL_UI_USER = Caller(subject="embedded-ui", name="the embedded Temporal UI", roles=frozenset({Role.OPERATOR}))


@dataclass(frozen=True, slots=True)
class CodecContext:
    """What every request needs; made once by `starter.codec.main`."""

    codec: EncryptingCodec
    audit: PostgresDecodeAudit
    tokens: TokenChecker
    origins: tuple[str, ...]
    """Where the Temporal UI is."""

    conversions: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(_MOST_CONVERSIONS))
    """Bodies that are read or written at this moment; others wait, with their bytes and nothing more."""

    trusts_this_machine: bool = False
    """Only the embedded stack's: its UI has no login, and so no token, and both listen on loopback alone."""

    async def authorize(self, request: Request) -> Caller:
        """Return who asks, when that is somebody who may read histories.

        Raises:
            NotAuthenticated: The request has no token, or one that is not good.
            NotAllowed: The caller's roles do not read histories.
            Unavailable: The identity provider does not answer.
        """
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer" and token.strip():
            caller = await self.tokens.caller(token.strip())
            if not caller.may_somewhere(Action.READ_HISTORY):
                raise NotAllowed(_WHO, dutch=_WHO_NL)
            return caller
        # A page of another origin cannot forge this header; a program on this machine can, and needs no codec server.
        if self.trusts_this_machine and request.headers.get("origin") in self.origins:
            return LOCAL_UI_USER
        raise NotAuthenticated(f"{_WHO} The request has no token.", dutch=f"{_WHO_NL} Het verzoek heeft geen token.")

    async def record(
        self, request: Request, caller: Caller, action: Literal["decode", "encode"], payloads: int
    ) -> None:
        """Write down what is about to be answered.

        Raises:
            Unavailable: It cannot be written down, so it must not be answered.
        """
        said = request.headers.get("x-namespace", "")
        namespace = said if _NAMESPACE.fullmatch(said) else ""
        roles = tuple(sorted(caller.roles))
        await self.audit.record(DecodeRecord(caller.subject, caller.name, roles, action, payloads, namespace))
        _log.info("%s of %d payloads of namespace %s for %s", action, payloads, namespace or "?", caller.subject)
