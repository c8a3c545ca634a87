"""Cells: the databases that environments live in. What stands in `control` stands in one of them, called home.

A step that changes an environment in another cell is two transactions, one in each database. The one at home holds the
transfer's row as ever; the one in the cell commits first, unless its step says otherwise, and does nothing the second
time. Nothing at home can stop a transaction that is under way in a cell when the connection to home is lost, so each
cell has a bar of its own for every transfer: a step forward takes it first and holds it until its commit, and an undo
puts it down before it takes anything away. What comes too late, from a worker that was thought dead, finds it down.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from types import MappingProxyType
from uuid import UUID

import asyncpg
from pydantic import SecretStr

from adapters.postgres.connection import Connection, Pool, connect, connect_pool, transaction, translated_errors
from adapters.postgres.migrations import migrate_control
from adapters.postgres.payload_keys import register_ring
from adapters.postgres.statements import load
from domain.errors import AlreadyInTransfer, AlreadyReleased, CellUnknown, Misconfigured, Superseded
from domain.vocabulary import HOME, EnvironmentStatus

_SQL = load(__name__)
_NONE: Mapping[str, Pool] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Guest:
    """An environment as the cell that it lives in knows it; no status when nothing of it is left there."""

    environment_id: UUID
    schema_name: str
    transfer_id: UUID
    status: EnvironmentStatus | None


class Shards:
    """Connections to every cell that there is an address for."""

    def __init__(self, home: Pool, others: Mapping[str, Pool] = _NONE) -> None:
        """Take the home database's pool and those of other cells, all connected as sb_owner."""
        self.home = home
        self.others = others

    def pool(self, cell: str) -> Pool:
        """Return a cell's pool.

        Raises:
            CellUnknown: There is no address for it here.
        """
        if cell == HOME:
            return self.home
        if cell not in self.others:
            raise CellUnknown(
                f"There is no address for the cell {cell!r}. Put one in SB_TRANSFER_CELLS, run `sb-transfer setup` and "
                "start the worker again."
            )
        return self.others[cell]

    @asynccontextmanager
    async def forward(
        self, home: Connection, cell: str, transfer: asyncpg.Record, *, evening: int | None = None
    ) -> AsyncIterator[Connection]:
        """Work in an environment's database for a step forward; what is done elsewhere commits when the block ends.

        Args:
            home: In a transaction that holds the transfer's row.
            cell: Where the environment lives.
            transfer: Its row.
            evening: The planned start that the step belongs to, when that is not what the row says.

        Raises:
            Superseded: An undo of the transfer, or its next evening, has reached the cell already.
            AlreadyInTransfer: The cell knows of another transfer of the environment.
        """
        if cell == HOME:
            yield home
            return
        async with transaction(self.pool(cell)) as there:
            try:
                passed = await there.fetchval(_SQL["pass_bar"], *_shadow(transfer, evening))
            except asyncpg.UniqueViolationError:
                # A freeze that was broken off between its two commits, and that nobody has lifted yet.
                raise AlreadyInTransfer from None
            if passed is None:
                raise Superseded
            yield there

    @asynccontextmanager
    async def together(
        self, home: Connection | None, old: str, new: str
    ) -> AsyncIterator[tuple[Connection, Connection]]:
        """Look into two environments' databases; when both are one, the two connections are the same.

        Args:
            home: A connection to the home database to use for what lives there, if the caller has one.
            old: The one's cell.
            new: The other's.
        """
        async with AsyncExitStack() as opened:
            found: dict[str, Connection] = {HOME: home} if home is not None else {}
            for cell in {old, new} - found.keys():
                found[cell] = await opened.enter_async_context(transaction(self.pool(cell)))
            yield found[old], found[new]

    @asynccontextmanager
    async def backward(self, home: Connection, cell: str, transfer: asyncpg.Record) -> AsyncIterator[Connection]:
        """Work in an environment's database for a compensation, which bars what is still on its way there.

        Raises:
            AlreadyReleased: The new environment has been opened in that cell.
        """
        if cell == HOME:
            yield home
            return
        async with transaction(self.pool(cell)) as there:
            if await there.fetchval(_SQL["put_bar"], *_shadow(transfer)) is None:
                raise AlreadyReleased
            yield there


def _shadow(transfer: asyncpg.Record, evening: int | None = None) -> tuple[object, ...]:
    names = ("transfer_id", "workflow_id", "environment_id", "new_environment_id")
    return (*(transfer[name] for name in names), evening or transfer["evening"])


async def cell_of_new(connection: Connection, transfer: asyncpg.Record) -> str:
    """Return in which cell a transfer's new environment is, was or will be."""
    found: str | None = await connection.fetchval(_SQL["cell_of_new"], transfer["transfer_id"])
    return found or HOME


async def note(there: Connection, cell: str, guest: Guest) -> None:
    """Write down in a cell what becomes of an environment there; at home its row says so."""
    if cell == HOME:
        return
    if guest.status is None:
        await there.execute(_SQL["forget_guest"], guest.environment_id)
    else:
        await there.execute(
            _SQL["guest"], guest.environment_id, guest.schema_name, guest.transfer_id, guest.status.value
        )


async def release_here(there: Connection, guest: Guest, fence: asyncpg.Record) -> None:
    """Bar every undo of a transfer in a cell, and keep what was given back there; the caller does the rest."""
    await there.execute(_SQL["release_here"], guest.transfer_id)
    await note(there, "", guest)
    await there.execute(_SQL["guest_opened"], guest.environment_id, fence["administrations"], fence["sequence_grants"])


async def is_released_here(there: Connection, transfer_id: UUID) -> bool:
    """Tell whether a cell, whose bar the caller holds, has opened a transfer's new environment already."""
    return bool(await there.fetchval(_SQL["is_released_here"], transfer_id))


@asynccontextmanager
async def open_shards(
    home: Pool, addresses: Mapping[str, SecretStr], *, max_size: int, application_name: str
) -> AsyncIterator[Shards]:
    """Connect to the cells that `control.cell` names; each is connected to when it is first needed.

    Args:
        home: The home database.
        addresses: By what `control.cell.dsn_ref` says.
        max_size: Connections to each cell at most.
        application_name: How the server's lists show them.
    """
    async with AsyncExitStack() as pools:
        others: dict[str, Pool] = {}
        for row in await _known(home) if addresses else ():
            address = addresses.get(row["dsn_ref"])
            if row["name"] == HOME or address is None:
                continue
            pool = await connect_pool(
                address.get_secret_value(),
                max_size=max_size,
                application_name=application_name,
                prove=_Prover(row["name"]).prove,
            )
            pools.push_async_callback(pool.close)
            others[row["name"]] = pool
        yield Shards(home, others)


async def _known(home: Pool) -> list[asyncpg.Record]:
    try:
        async with transaction(home) as connection:
            return list(await connection.fetch(_SQL["cells"]))
    except (asyncpg.UndefinedTableError, asyncpg.InvalidSchemaNameError):
        return []  # a database that is still to be set up


class _Prover:
    """Makes sure that an address leads to the cell that it is said to lead to, and not to another with its books."""

    def __init__(self, cell: str) -> None:
        self._cell = cell

    async def prove(self, connection: Connection) -> None:
        try:
            found = await connection.fetchval(_SQL["here"])
        except (asyncpg.UndefinedTableError, asyncpg.InvalidSchemaNameError):
            found = None
        if found != self._cell:
            what = f"is the cell {found!r}" if found else "has not been set up"
            raise CellUnknown(
                f"The address of the cell {self._cell!r} leads to a database that {what}. Correct SB_TRANSFER_CELLS, "
                "or run `sb-transfer setup`."
            )


async def settle(dsn: str, cell: str) -> None:
    """Tell a database which cell it is.

    Raises:
        Misconfigured: It is another one.
        Unavailable: It does not answer.
    """
    with translated_errors():
        connection = await connect(dsn)
        try:
            await connection.execute(_SQL["settle"], cell)
            found = await connection.fetchval(_SQL["here"])
        finally:
            await connection.close()
    if found != cell:
        raise Misconfigured(
            f"The address of the cell {cell!r} leads to the database of {found!r}. Correct SB_TRANSFER_CELLS."
        )


async def set_up(dsn: str, addresses: Mapping[str, SecretStr], key_ids: Sequence[str]) -> list[str]:
    """Bring `control` up to date at home and in every cell, and make the cells known; it may be repeated.

    Args:
        dsn: The home database.
        addresses: The other cells', by name.
        key_ids: The ring of payload keys that all programs are to have, newest first.

    Returns:
        The names of the migrations that were applied at home.

    Raises:
        Misconfigured: An address leads to another cell, a role may not do what a migration needs, or a payload key is
            missing.
        Unavailable: A server does not answer.
    """
    applied = await migrate_control(dsn)
    await settle(dsn, HOME)
    for name, address in addresses.items():
        await migrate_control(address.get_secret_value())
        await settle(address.get_secret_value(), name)
    with translated_errors():
        connection = await connect(dsn)
        try:
            await register_ring(connection, key_ids)
            await connection.executemany(_SQL["add_cell"], [(name, name) for name in addresses])
        finally:
            await connection.close()
    return applied
