"""Auditfiles on the command line: the books of both sides, to keep with the certificate."""

from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from domain import messages as m
from domain.errors import Misconfigured, WrongMoment, YearUnknown
from domain.naming import default_url_part
from domain.vocabulary import TransferState
from starter.cli.options import AsJson, Which, with_client
from starter.cli.output import ExitCode, Output
from starter.cli.panels import plain
from starter.client.client import TransferClient

commands = typer.Typer()
_HEADER_ENDS = b"</header>"
_CHUNK = 1 << 20


@commands.command()
def auditfile(
    which: Which,
    folder: Annotated[Path, typer.Option("--output", "-o", metavar="DIR", help="Where the files go.")] = Path(),
    year: Annotated[int | None, typer.Option(help="This year only.")] = None,
    as_json: AsJson = False,
) -> ExitCode:
    """Write the books of both sides as XML Auditfile Financieel 3.2: a file per side, administration and year.

    Exit code 1 when the two sides differ in more than the header, as they do once people work in the new one.
    """

    async def work(client: TransferClient, output: Output) -> ExitCode:
        status = (await client.status(which)).status
        if status.state not in (TransferState.AWAITING_RELEASE, TransferState.RELEASED):
            raise WrongMoment
        if status.old is None or status.new is None:
            raise WrongMoment
        if not folder.is_dir():
            raise Misconfigured(f"{folder} is no folder. Make it, or choose another.")
        years = [one for one in await client.booked_years(status.old) if year in (None, one.year)]
        if not years:
            raise YearUnknown
        written = []
        for one in years:
            sides = [_path(folder, one, side) for side in ("oud", "nieuw")]
            for path, environment in zip(sides, (status.old, status.new), strict=True):
                with path.open("wb") as file:
                    await client.auditfile(environment, one.administration_id, one.year, file)
            equal = _same_books(*sides)
            written.append({**one.model_dump(), "old": str(sides[0]), "new": str(sides[1]), "equal": equal})
            verdict = Text("equal but for the header", "green") if equal else Text("DIFFERENT", "bold red")
            output.say(Text.assemble(plain(one.administration), f" {one.year}, {one.lines:,} lines: ", verdict))
        output.answer(written, Text(f"{2 * len(written)} files in {folder}."))
        return ExitCode.OK if all(one["equal"] for one in written) else ExitCode.DIFFERENT

    return with_client(work, as_json=as_json)


def _path(folder: Path, one: m.BookedYear, side: str) -> Path:
    name = default_url_part(one.administration) or "administratie"
    return folder / f"{name}-{str(one.administration_id)[:8]}-{one.year}-{side}.xaf"


def _same_books(old: Path, new: Path) -> bool:
    """Tell whether two auditfiles are equal byte for byte behind their headers."""
    with old.open("rb") as first, new.open("rb") as second:
        heads = [file.read(_CHUNK).split(_HEADER_ENDS, 1)[1] for file in (first, second)]
        if heads[0] != heads[1]:
            return False
        while True:
            chunks = first.read(_CHUNK), second.read(_CHUNK)
            if chunks[0] != chunks[1]:
                return False
            if not chunks[0]:
                return True
