"""Registers licences and environments, so that they can be moved: twice the same is once."""

from uuid import UUID

from adapters.postgres.connection import Pool, transaction
from adapters.postgres.statements import load
from adapters.postgres.transfer_rows import plain
from domain.errors import LicenceCancelled, LicenceUnknown, Refused, all_errors
from domain.messages import Message
from domain.naming import checked_email, checked_url_part, mailbox_address_of, normalised_name, url_of
from domain.vocabulary import EnvironmentStatus, Language, LicenceKind

_SQL = load(__name__)
_MADE, _DONE = "made", ("made", "changed", "kept")


class RegisteredLicence(Message):
    """A licence as it is registered."""

    licence_number: str
    holder_name: str
    kind: LicenceKind
    host: str
    contact_email: str
    language: Language
    cancelled: bool = False


class RegisteredEnvironment(Message):
    """An environment as it is registered."""

    environment_id: UUID
    licence_number: str
    name: str
    url: str
    url_part: str
    mailbox_address: str
    login_email: str | None
    status: EnvironmentStatus


class PostgresRegistration:
    """Registers; `pool` is connected as sb_owner, or as sb_api."""

    def __init__(self, pool: Pool, base_domain: str) -> None:
        self._pool = pool
        self._base_domain = base_domain

    async def licence(
        self, wanted: RegisteredLicence, *, cancelled: bool | None = None, by: str = ""
    ) -> tuple[RegisteredLicence, bool]:
        """Register a licence, or change its holder, address or language; return it, and whether it is new.

        Args:
            wanted: The licence; whether it is `cancelled` is not read here.
            cancelled: Whether its holder has cancelled it; None leaves that as it was.
            by: Who says so, for the event log of the move that left it.

        Raises:
            LicenceDiffers: It is there with another kind or host, which environments and mail hang on.
            HostTaken: Another licence has its host.
            LicenceInUse: It cannot have been cancelled: an environment of it is worked in, or is coming.
        """
        async with transaction(self._pool) as connection:
            said = await connection.fetchval(
                _SQL["register_licence"], *wanted.model_dump(exclude={"cancelled"}).values()
            )
            _require_done(said)
            if cancelled is not None:
                _require_done(
                    await connection.fetchval(_SQL["cancel_licence"], wanted.licence_number, cancelled, plain(by))
                )
            [row] = await connection.fetch(_SQL["licence"], wanted.licence_number)
        return RegisteredLicence(**dict(row)), said == _MADE

    async def environment(
        self,
        environment_id: UUID,
        *,
        licence: str,
        name: str,
        url_part: str | None = None,
        mailbox_address: str | None = None,
        login_email: str | None = None,
    ) -> tuple[RegisteredEnvironment, bool]:
        """Register an environment whose schema is there, or change its name or login; return it, and whether it is new.

        Args:
            environment_id: The platform's own id; the schema is called after it.
            licence: The number of its licence.
            name: What people call it.
            url_part: What its url ends in; follows from the name of a new one.
            mailbox_address: Where its mail comes in; follows from the url.
            login_email: Where a self-managed customer logs in with.

        Raises:
            LicenceUnknown, LicenceCancelled, NameInvalid, NameTaken, UrlInvalid, UrlReserved: As for an upload.
            UrlTaken, LoginEmailInvalid: As for an upload.
            AddressTaken: The mailbox address was given before.
            BooksMissing: There is no schema of that environment.
            EnvironmentDiffers: It is there under another licence, url or address: a move changes those.
            EnvironmentNotActive: Its name and login cannot change now.
        """
        clean = normalised_name(name)
        login = checked_email(login_email) if login_email else None
        async with transaction(self._pool) as connection:
            holder = await connection.fetchrow(_SQL["licence"], licence)
            if holder is None:
                raise LicenceUnknown
            if holder["cancelled"]:
                raise LicenceCancelled
            known = await connection.fetchrow(_SQL["environment"], environment_id)
            # Another name does not change the url of what people have bookmarked.
            part = known["url_part"] if known and not url_part else checked_url_part(url_part, name=clean)
            where = {"host": holder["host"], "base_domain": self._base_domain, "url_part": part}
            address = checked_email(mailbox_address).lower() if mailbox_address else None
            address = address or (known["mailbox_address"] if known else mailbox_address_of(**where))
            said = await connection.fetchval(
                _SQL["register_environment"], environment_id, licence, clean, part, url_of(**where), address, login
            )
            _require_done(said)
            [row] = await connection.fetch(_SQL["environment"], environment_id)
        return RegisteredEnvironment(**dict(row)), said == _MADE


def _require_done(said: str) -> None:
    if said in _DONE:
        return
    refusal = all_errors()[said]
    if not issubclass(refusal, Refused):
        raise TypeError(f"{said} is no refusal")
    raise refusal
