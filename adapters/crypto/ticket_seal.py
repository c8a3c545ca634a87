"""How a ticket is sealed, so that nobody but this service can make or read one: Fernet under a ring of keys."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from typing import Literal
from uuid import UUID

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from pydantic import AwareDatetime, BaseModel, ConfigDict, SecretStr, ValidationError

from domain.errors import Misconfigured, TicketNotGenuine

# A ticket is about 700 bytes. More is no ticket and is not worth decrypting.
MAX_TICKET_BYTES = 4096
_MAX_WRAPPED_BYTES = 2 * MAX_TICKET_BYTES
_HOW_TO_MAKE_A_KEY = 'python -c "from cryptography.fernet import Fernet; print(Fernet.generate_key().decode())"'


class TicketClaims(BaseModel):
    """What a ticket says. It names no person and no customer; who holds it, or only one licence, may upload it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal[1] = 1
    ticket_id: UUID
    transfer_id: UUID
    environment_id: UUID
    workflow_id: str
    issued_at: AwareDatetime
    expires_at: AwareDatetime
    for_licence: str | None = None


class TicketSeal:
    """Seals tickets with the newest key and opens those of every key on the ring."""

    def __init__(self, keys: Sequence[SecretStr]) -> None:
        """Take the key ring, newest first.

        Raises:
            Misconfigured: There is no key, or one is unusable. The message shows no key.
        """
        try:
            ring = [Fernet(key.get_secret_value()) for key in keys]
        except ValueError:  # the cause quotes nothing of the key, but nobody needs it either
            ring = []
        if not ring:
            raise Misconfigured(
                "SB_TRANSFER_TICKET_KEYS holds no key, or one that is no Fernet key (32 bytes, url-safe base64). "
                f"Make one with: {_HOW_TO_MAKE_A_KEY}"
            )
        self._ring = MultiFernet(ring)

    def seal(self, claims: TicketClaims) -> bytes:
        """Return the bytes of a ticket file; no two are the same, not even of one ticket."""
        # A ticket that is bound to nobody stays as it always was, so that a worker of before can open it.
        return self._ring.encrypt(claims.model_dump_json(exclude_none=True).encode())

    def open(self, file: bytes) -> TicketClaims:
        """Return what a ticket file says.

        Raises:
            TicketNotGenuine: Not made by this service, changed, or too long. It does not say which.
        """
        try:
            return TicketClaims.model_validate_json(self._decrypted(file, MAX_TICKET_BYTES))
        except ValidationError:
            raise TicketNotGenuine from None  # the cause would show what was sealed

    def wrap(self, file: bytes) -> str:
        """Return a ticket file sealed once more, so that a workflow's history holds no usable ticket.

        Raises:
            TicketNotGenuine: It is too long to be a ticket.
        """
        if len(file) > MAX_TICKET_BYTES:
            raise TicketNotGenuine
        return self._ring.encrypt(file).decode("ascii")

    def unwrap(self, wrapped: str) -> bytes:
        """Return the ticket file in what `wrap` made.

        Raises:
            TicketNotGenuine: `wrap` did not make it.
        """
        return self._decrypted(wrapped.encode("utf-8", "replace"), _MAX_WRAPPED_BYTES)

    def _decrypted(self, token: bytes, limit: int) -> bytes:
        if len(token) > limit:
            raise TicketNotGenuine
        try:
            # The decoder passes over what is not base64 and over unused bits, so a changed file would open as well.
            if urlsafe_b64encode(urlsafe_b64decode(token)) != token:
                raise TicketNotGenuine
            return self._ring.decrypt(token)
        except (InvalidToken, ValueError):
            raise TicketNotGenuine from None
