"""Who owns what, and who may do what with it: a copy gets the owners and rights of its source, and no others.

What a new object may be used for by others depends on who makes it (default privileges), and on the order in which
rights were given and handed on. So the rights that a copy has are read back, and set anew where they are not the same.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby

import asyncpg

from adapters.postgres.connection import Connection
from adapters.postgres.statements import load

_SQL = load(__name__)


@dataclass(frozen=True, slots=True)
class Owner:
    """An object, as a statement names it, and the role that owns it, quoted."""

    what: str
    role: str


@dataclass(frozen=True, slots=True)
class Right:
    """Something that a role may do; roles are quoted. `grantable`: and may allow to others."""

    grantor: str
    grantee: str
    privilege: str
    grantable: bool


@dataclass(frozen=True, slots=True)
class Holding:
    """The rights on an object, or on a column of it, and those that its owner would have given without a word."""

    what: str
    columns: str
    owner: str
    given: tuple[Right, ...]
    usual: tuple[Right, ...]


@dataclass(frozen=True, slots=True)
class Rights:
    """All holdings of a schema where somebody has given or taken a right, by object and column."""

    holdings: Mapping[tuple[str, str], Holding]

    @classmethod
    def of(cls, rows: Iterable[asyncpg.Record], rename: Callable[[str], str] = str) -> "Rights":
        """Take the answer to `rights`, ordered by object."""
        found: dict[tuple[str, str], Holding] = {}
        for (what, columns, owner), group in groupby(rows, lambda row: (row["what"], row["columns"], row["owner"])):
            given: dict[bool, list[Right]] = {False: [], True: []}
            for row in group:
                if row["grantee"] is not None:
                    given[row["usual"]].append(
                        Right(row["grantor"], row["grantee"], row["privilege"], row["grantable"])
                    )
            name = rename(what)
            found[name, columns] = Holding(name, columns, owner, tuple(given[False]), tuple(given[True]))
        return cls(found)

    def statements(self, copy: "Rights", *, without: frozenset[str]) -> Iterator[tuple[str, str]]:
        """Return what gives a copy these rights and no others: pairs of the role that has to say it, and a statement.

        Args:
            copy: What it has now.
            without: Privileges that the copy's server does not know.
        """
        for name in sorted(self.holdings.keys() | copy.holdings.keys()):
            mine, yours = self.holdings.get(name), copy.holdings.get(name)
            holding = mine or yours
            assert holding is not None, "it is in one of the two"  # noqa: S101 - tells the type checker
            wanted = [right for right in (mine.given if mine else holding.usual) if right.privilege not in without]
            present = list(yours.given if yours else holding.usual)
            if wanted == present:
                continue
            everybody = ", ".join(dict.fromkeys([holding.owner, "public", *(right.grantee for right in present)]))
            yield holding.owner, f"revoke all{holding.columns} on {holding.what} from {everybody}"
            yield from _grants(holding, wanted)


def _grants(holding: Holding, wanted: list[Right]) -> Iterator[tuple[str, str]]:
    """Give rights in their order, but nobody's before he has been given the right to give them."""
    able = {(holding.owner, right.privilege) for right in wanted}
    waiting = wanted
    while waiting:
        postponed: list[Right] = []
        for right in waiting:
            if (right.grantor, right.privilege) not in able:
                postponed.append(right)
                continue
            option = " with grant option" if right.grantable else ""
            yield (
                right.grantor,
                f"grant {right.privilege}{holding.columns} on {holding.what} to {right.grantee}{option}",
            )
            if right.grantable:
                able.add((right.grantee, right.privilege))
        if len(postponed) == len(waiting):
            able |= {(right.grantor, right.privilege) for right in waiting}  # let the server say what is wrong
        waiting = postponed


async def apply_owners_and_rights(connection: Connection, copy: str, owners: list[Owner], rights: Rights) -> None:
    """Give what a copy holds to its owners, and everybody the rights that he has on the source, no more.

    Runs in the caller's transaction; the copy is whole. The right to enter it is nobody's before and after.
    """
    me = await connection.fetchval(_SQL["me"])
    without = frozenset(await connection.fetchval(_SQL["unknown_privileges"]))
    roles = {owner.role for owner in owners}
    roles |= {right.grantor for holding in rights.holdings.values() for right in holding.given} - {me}
    for statement in await connection.fetch(_SQL["let_in"], copy, sorted(roles)):
        await connection.execute(statement["statement"])
    for owner in owners:
        await connection.execute(f"alter {owner.what} owner to {owner.role}")
    present = Rights.of(await connection.fetch(_SQL["rights"]))
    for role, statements in groupby(rights.statements(present, without=without), lambda pair: pair[0]):
        text = ";\n".join(statement for _, statement in statements)
        await connection.execute(text if role == me else f"set local role {role};\n{text};\nreset role")
    for statement in await connection.fetch(_SQL["let_out"], copy, sorted(roles)):
        await connection.execute(statement["statement"])


async def apply_schema_grants(target: Connection, schema: str, copy: str, *, source: Connection | None = None) -> None:
    """Give a copy's schema the rights that the source's carries, inside the caller's transaction.

    They are given when people may look, not while it is being built. `source` is connected to the source's database,
    when that is another one.
    """
    for right in await (source or target).fetch(_SQL["schema_rights"], schema):
        await target.execute(await target.fetchval(_SQL["schema_grant"], copy, *right.values()))
