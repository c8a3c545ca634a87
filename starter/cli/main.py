"""The `sb-transfer` command line: what each command takes, does and answers."""

import getpass
import os
import sys
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, NoReturn
from uuid import UUID

import typer
from rich.text import Text

from adapters.crypto.ticket_seal import MAX_TICKET_BYTES
from domain.authority import Caller, Role
from domain.errors import Misconfigured, WrongMoment
from domain.naming import ticket_file_name
from domain.vocabulary import MailKind, Scenario, TransferState
from starter.cli import certificates, tables
from starter.cli import deployments as deploying
from starter.cli import key_rotation as keyrings
from starter.cli import panels as display
from starter.cli.output import EXIT_CODES, ExitCode, Output, leave, report, report_usage, run, write_json
from starter.cli.payload_keys import tell_key_use
from starter.cli.reconcile import inspect
from starter.cli.setup import seed_books, set_up
from starter.cli.ticket_file import TicketFile
from starter.cli.watch import comparing, screen, watch_until
from starter.client.client import TransferClient
from starter.client.connect import connect
from starter.client.models import CertificateChecked, TransferSnapshot
from starter.client.polling import is_over
from starter.environment import surroundings

app = typer.Typer(
    name="sb-transfer",
    help="Moves a customer environment, with all its administrations, from one licence to another.",
    epilog=EXIT_CODES,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

deployments = typer.Typer(help="Versions of the worker, when SB_TRANSFER_DEPLOYMENT names a deployment.")
app.add_typer(deployments, name="deployment")
keys = typer.Typer(help="Keys, and how they change.", context_settings={"help_option_names": ["-h", "--help"]})
app.add_typer(keys, name="keys")

AsJson = Annotated[bool, typer.Option("--json", help="Answer with one JSON document on standard output.")]
By = Annotated[str, typer.Option("--by", metavar="NAME", help="Who does this, for the event log; you, if left out.")]
Which = Annotated[
    str, typer.Argument(metavar="T", help="A workflow id, a transfer id, an environment id or an environment's name.")
]
Folder = Annotated[Path, typer.Option("--output", "-o", metavar="DIR", help="Where the ticket file goes.")]
StackFolder = Annotated[Path, typer.Option("--dir", metavar="DIR", help="Where the stack's data is kept.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace a ticket file that is there.")]
Work = Callable[[TransferClient, Output], Awaitable[ExitCode]]


def _ticket_in(file: Path) -> bytes:
    """Return a ticket file's bytes; of one too long to be a ticket only so much that it is refused as one."""
    with file.open("rb") as opened:
        return opened.read(MAX_TICKET_BYTES + 1)


def _me(given: str) -> str:
    """Return who does this: who was named, else who is logged in (a container may have no name for its user)."""
    if given.strip():
        return given
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"uid {os.getuid()}"


def _through_client(work: Work, *, as_json: bool) -> ExitCode:
    """Connect, do the work, and close everything."""

    async def session() -> ExitCode:
        here = surroundings()
        async with connect(here.settings, environment=here.environment) as client:
            return await work(client, Output(as_json=as_json, zone=here.settings.zone))

    return run(session())


def _show(output: Output, snapshot: TransferSnapshot) -> ExitCode:
    """Answer with where a transfer stands; the exit code tells a script whether it was undone."""
    output.answer(snapshot, display.snapshot(snapshot, now=datetime.now(UTC), zone=output.zone))
    return _code_of(snapshot)


def _keep(file: TicketFile, ticket: bytes, transfer_id: UUID) -> None:
    """Write a ticket; when that fails the environment is frozen all the same, so say how to go on."""
    try:
        file.write(ticket)
    except (Misconfigured, OSError) as error:
        raise Misconfigured(
            f"The environment is read-only now, but its ticket could not be written: {error} "
            f"Get it with: sb-transfer ticket {transfer_id} -o DIR"
        ) from error


def _show_undo(output: Output, snapshot: TransferSnapshot) -> ExitCode:
    """Answer with a transfer that was asked to be undone, which is what happens to it."""
    _show(output, snapshot)
    return ExitCode.OK


def _code_of(snapshot: TransferSnapshot) -> ExitCode:
    undone = snapshot.status.state in (TransferState.UNDOING, TransferState.UNDONE)
    return ExitCode.DIFFERENT if undone else ExitCode.OK


@contextmanager
def _extra() -> Iterator[None]:
    """Say which extra a command needs; production installs without the embedded stack."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise Misconfigured(
            f"{error.name} is missing: it comes with an extra. Run: pip install 'sb-transfer[api,devstack]'"
        ) from error


# --- the stack ---------------------------------------------------------------------------------------------------


@app.command()
def demo(
    scenario: Annotated[Scenario | None, typer.Option(help="One scenario only.")] = None,
    journal_lines: Annotated[int, typer.Option(min=1, help="Journal lines of the largest environment.")] = 20_000,
    keep: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Keep the stack's data here; else it is removed.")
    ] = None,
    as_json: AsJson = False,
) -> ExitCode:
    """Move real environments in all three scenarios, on a stack of its own that is gone afterwards."""
    with _extra():
        from starter.cli.demo import demo as play  # noqa: PLC0415 - see `_extra`
    return run(play(Output(as_json=as_json), scenario=scenario, journal_lines=journal_lines, keep=keep))


@app.command()
def up(
    folder: StackFolder = Path(".sb-transfer"),
    as_json: AsJson = False,
) -> ExitCode:
    """Run PostgreSQL, Temporal, a mail catcher and the worker here until Ctrl-C; everything is kept."""
    with _extra():
        from starter.cli.stack import stay_up  # noqa: PLC0415 - see `_extra`
    return run(stay_up(folder, Output(as_json=as_json)))


@app.command()
def setup(as_json: AsJson = False) -> ExitCode:
    """Migrate the database, register the search attributes, make the nightly schedule; may be repeated."""
    return run(set_up(surroundings(), Output(as_json=as_json)))


@app.command()
def seed(
    value: Annotated[int, typer.Option(help="Another value makes other books, the same value the same.")] = 1,
    journal_lines: Annotated[int, typer.Option(min=1, help="Journal lines of the largest environment.")] = 20_000,
    as_json: AsJson = False,
) -> ExitCode:
    """Make licences and environments with believable books; what is there already is left as it is."""
    return run(seed_books(surroundings(), Output(as_json=as_json), value=value, journal_lines=journal_lines))


@app.command()
def worker() -> NoReturn:
    """Become the worker: it does the work until SIGTERM or Ctrl-C, and then stops in order."""
    here = surroundings()
    # Safe path: a `worker.py` in the current folder is not the worker.
    os.execve(sys.executable, [sys.executable, "-P", "-m", "worker"], here.environment)  # noqa: S606 - our own module


@deployments.command("show")
def show_deployment(as_json: AsJson = False) -> ExitCode:
    """List the versions of the worker that Temporal knows, and which of them gets the work."""
    return run(deploying.show(surroundings(), Output(as_json=as_json)))


@deployments.command("current")
def make_current(
    build_id: Annotated[str, typer.Argument(help="The version; that of this code, if left out.")] = "",
    wait: Annotated[float, typer.Option(min=0, metavar="SECONDS", help="How long to wait for its workers.")] = 60,
    as_json: AsJson = False,
) -> ExitCode:
    """Give one version the work: what is new, and every transfer that is under way."""
    output = Output(as_json=as_json)
    return run(deploying.switch(surroundings(), output, version=build_id, patience=timedelta(seconds=wait)))


@app.command()
def api() -> NoReturn:
    """Become the HTTP API: it serves until SIGTERM or Ctrl-C, and then finishes what it has taken on."""
    here = surroundings()
    os.execve(sys.executable, [sys.executable, "-P", "-m", "starter.api.main"], here.environment)  # noqa: S606


@app.command()
def codec() -> NoReturn:
    """Become the codec server, which shows histories in plain text to those who may; until SIGTERM or Ctrl-C."""
    here = surroundings()
    os.execve(sys.executable, [sys.executable, "-P", "-m", "starter.codec.main"], here.environment)  # noqa: S606


@app.command()
def token(  # noqa: PLR0917 - typer names them on the command line
    role: Annotated[list[Role], typer.Option(help="What the holder is; may be given more than once.")],
    licence: Annotated[str | None, typer.Option(help="Whose user it is; needed for the role firm.")] = None,
    name: By = "",
    hours: Annotated[int, typer.Option(min=1, max=24, help="How long it is good.")] = 1,
    folder: StackFolder = Path(".sb-transfer"),
    as_json: AsJson = False,
) -> ExitCode:
    """Make a bearer token for the API and the codec server of the stack that runs here."""
    with _extra():
        from starter.cli.stack import issue_token  # noqa: PLC0415 - see `_extra`

    holder = Caller(subject=_me(name), name=_me(name), roles=frozenset(role), licence_number=licence)
    return issue_token(folder, holder, timedelta(hours=hours), Output(as_json=as_json))


# --- the old side ------------------------------------------------------------------------------------------------


@app.command()
def prepare(  # noqa: PLR0917 - typer names them on the command line
    environment: Annotated[str, typer.Argument(metavar="ENV", help="An environment's id, or its name.")],
    folder: Folder = Path(),
    overwrite: Overwrite = False,
    for_licence: Annotated[
        str | None, typer.Option(metavar="NUMBER", help="Bind the ticket to this licence: no other may upload it.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only tell what would happen.")] = False,
    by: By = "",
    as_json: AsJson = False,
) -> ExitCode:
    """Freeze an environment and get its ticket: "Omgeving overdragen".

    Tells first what the move will do. When it is refused, nothing has changed.
    """

    async def work(client: TransferClient, output: Output) -> ExitCode:
        found = await client.environment(environment)
        preview = await client.preview(str(found.environment_id))
        output.say(display.preview(preview))
        if dry_run:
            if not (output.as_json and preview.obstacles):  # programs read the obstacles from the document
                await client.require_movable(str(found.environment_id), for_licence=for_licence)
            output.answer(preview)
            return ExitCode.REFUSED if preview.obstacles else ExitCode.OK
        file = TicketFile(folder, ticket_file_name(found.url_part), overwrite=overwrite)
        with screen(output.people, output.zone) as show:
            prepared = await client.prepare(
                str(found.environment_id),
                requested_by=_me(by),
                for_licence=for_licence,
                on_progress=lambda status: show(TransferSnapshot(status=status)),
            )
        _keep(file, prepared.ticket, prepared.transfer_id)
        output.answer(
            {**prepared.model_dump(mode="json"), "ticket_file": str(file.path)},
            Text.assemble(("The environment is read-only now. Its ticket: ", "green"), str(file.path)),
            Text(
                f"Send that file to licence {display.plain(for_licence)}. It works once, and for no other."
                if for_licence
                else "Send that file to the new side. It works once, for whoever has it."
            ),
        )
        return ExitCode.OK

    return _through_client(work, as_json=as_json)


@app.command()
def ticket(
    which: Which, folder: Folder = Path(), overwrite: Overwrite = False, by: By = "", as_json: AsJson = False
) -> ExitCode:
    """Get the ticket file once more while the upload is awaited; an earlier file stops working."""

    async def work(client: TransferClient, output: Output) -> ExitCode:
        results = await client.results(which)
        if results.ticket_file_name is None:
            raise WrongMoment
        file = TicketFile(folder, results.ticket_file_name, overwrite=overwrite)
        name, content = await client.download_ticket(which, requested_by=_me(by))
        file.write(content)
        output.answer(
            {"ticket_file_name": name, "ticket_file": str(file.path)},
            Text.assemble(("The ticket: ", "green"), str(file.path)),
        )
        return ExitCode.OK

    return _through_client(work, as_json=as_json)


# --- the new side ------------------------------------------------------------------------------------------------


@app.command()
def upload(  # noqa: PLR0917 - typer names them on the command line
    file: Annotated[Path, typer.Argument(metavar="TICKET", help="The .avr file from the old side.")],
    licence: Annotated[str, typer.Option(help="The number of the licence that takes the environment over.")],
    name: Annotated[str, typer.Option(help="The new name, unique under that licence.")],
    url: Annotated[str | None, typer.Option(help="The customer's part of the url; the name in lower case.")] = None,
    login_email: Annotated[
        str | None, typer.Option(help="What the customer logs in with; needed for a self-managed licence.")
    ] = None,
    by: By = "",
    as_json: AsJson = False,
) -> ExitCode:
    """Upload a ticket: "Omgeving overdracht uploaden"."""

    async def work(client: TransferClient, output: Output) -> ExitCode:
        accepted = await client.upload(
            _ticket_in(file), licence=licence, name=name, url_part=url, login_email=login_email, uploaded_by=_me(by)
        )
        output.answer(
            accepted,
            Text.assemble(("Accepted: ", "green"), display.plain(accepted.name), " at ", display.plain(accepted.url)),
            Text(f"The move starts at {display.moment(accepted.starts_at, output.zone)}."),
        )
        return ExitCode.OK

    return _through_client(work, as_json=as_json)


@app.command()
def compare(
    old: Annotated[str, typer.Argument(metavar="OLD", help="An environment's id, name, or <licence number>/<name>.")],
    new: Annotated[str, typer.Argument(metavar="NEW", help="Likewise, the other one.")],
    as_json: AsJson = False,
) -> ExitCode:
    """Compare two environments, every row and every figure. Exit code 1 when they differ.

    Leaves out what a move changes on purpose. Work done after the release is a difference too.
    """

    async def work(client: TransferClient, output: Output) -> ExitCode:
        with comparing(output.people) as on_progress:
            found = await client.compare(old, new, on_progress=on_progress)
        output.answer(found, tables.comparison(found.report.checks), tables.differences(found.verification))
        return ExitCode.OK if found.equal else ExitCode.DIFFERENT

    return _through_client(work, as_json=as_json)


@app.command()
def release(
    which: Which,
    note: Annotated[str, typer.Option(help="A remark for the event log.")] = "",
    by: By = "",
    as_json: AsJson = False,
) -> ExitCode:
    """Open the new environment for good: "Vrijgeven". There is no way back."""

    async def work(client: TransferClient, output: Output) -> ExitCode:
        return _show(output, await client.release(which, by=_me(by), note=note))

    return _through_client(work, as_json=as_json)


@app.command()
def reject(
    which: Which,
    reason: Annotated[str, typer.Option(help="Why, for the event log and the mail to both sides.")],
    by: By = "",
    as_json: AsJson = False,
) -> ExitCode:
    """Undo a transfer after comparing: the old environment becomes writable again."""

    async def work(client: TransferClient, output: Output) -> ExitCode:
        return _show_undo(output, await client.reject(which, by=_me(by), reason=reason))

    return _through_client(work, as_json=as_json)


# --- certificates ------------------------------------------------------------------------------------------------


@app.command()
def certificate(
    which: Which,
    target: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="Where it goes; to standard output, if left out."),
    ] = None,
    as_json: AsJson = False,
) -> ExitCode:
    """Write the signed certificate of a move: what was moved, that it arrived equal, what was changed on purpose."""

    async def work(client: TransferClient, output: Output) -> ExitCode:
        content = await client.certificate(which)
        if target is None:
            sys.stdout.write(content.decode())  # a JSON document in any case
            return ExitCode.OK
        target.write_bytes(content)
        output.answer({"certificate_file": str(target)}, Text.assemble(("The certificate: ", "green"), str(target)))
        return ExitCode.OK

    return _through_client(work, as_json=as_json)


@app.command("verify-certificate")
def verify_certificate(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A certificate.")],
    public_key: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="The issuer's public keys; this service's own, if left out."),
    ] = None,
    databases: Annotated[
        bool, typer.Option("--databases", help="Also read both environments and compare them with it.")
    ] = False,
    as_json: AsJson = False,
) -> ExitCode:
    """Check a certificate, without any server. Exit code 2 when it is not genuine.

    With --databases exit code 1 when an environment is not, or no longer, as certified.
    """
    found = certificates.trusted(public_key).read(certificates.content_of(file))
    if not databases:
        Output(as_json=as_json).answer(CertificateChecked(certificate=found), certificates.as_read(found))
        return ExitCode.OK

    async def work(client: TransferClient, output: Output) -> ExitCode:
        output.say(certificates.as_read(found))
        with comparing(output.people) as on_progress:
            checked = await client.hold_against(found, on_progress=on_progress)
        output.answer(checked, certificates.as_checked(checked))
        return ExitCode.OK if checked.equal else ExitCode.DIFFERENT

    return _through_client(work, as_json=as_json)


@app.command("certificate-keys")
def certificate_keys(as_json: AsJson = False) -> ExitCode:
    """Print the public keys that receivers of certificates need: PEM, the newest first."""
    reader = certificates.trusted(None)
    if as_json:
        write_json({"keys": reader.key_ids, "pem": reader.pem()})
    else:
        sys.stdout.write(reader.pem())
    return ExitCode.OK


# --- anybody -----------------------------------------------------------------------------------------------------


@app.command()
def status(which: Which, as_json: AsJson = False) -> ExitCode:
    """Tell where a transfer stands and what it waits for. Exit code 1 when it was undone."""

    async def work(client: TransferClient, output: Output) -> ExitCode:
        return _show(output, await client.status(which))

    return _through_client(work, as_json=as_json)


@app.command("list")
def list_transfers(
    state: Annotated[list[TransferState] | None, typer.Option(help="In this state only; may be repeated.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="How many at most, the newest first.")] = 100,
    as_json: AsJson = False,
) -> ExitCode:
    """List transfers, the newest first."""

    async def work(client: TransferClient, output: Output) -> ExitCode:
        found = await client.transfers(states=state or (), limit=limit)
        output.answer(found, tables.transfers(found, output.zone))
        return ExitCode.OK

    return _through_client(work, as_json=as_json)


@app.command()
def watch(
    which: Which,
    until: Annotated[TransferState | None, typer.Option(help="Stop at this state; at the end, if left out.")] = None,
    as_json: AsJson = False,
) -> ExitCode:
    """Show a transfer live until it has ended. Exit code 1 when it was undone."""

    async def work(client: TransferClient, output: Output) -> ExitCode:
        snapshot = await watch_until(
            client, which, output.people, output.zone, lambda seen: is_over(seen) or seen.state is until
        )
        output.answer(snapshot)
        return _code_of(snapshot)

    return _through_client(work, as_json=as_json)


@app.command("start-now")
def start_now(which: Which, by: By = "", as_json: AsJson = False) -> ExitCode:
    """Do not wait for 22:00: clone now."""

    async def work(client: TransferClient, output: Output) -> ExitCode:
        return _show(output, await client.start_now(which, by=_me(by)))

    return _through_client(work, as_json=as_json)


@app.command()
def reschedule(
    which: Which,
    evening: Annotated[
        datetime, typer.Option(formats=["%Y-%m-%d"], help="The day on which the window opens, such as 2026-12-01.")
    ],
    reason: Annotated[str, typer.Option(help="Why, for the event log.")] = "",
    by: By = "",
    as_json: AsJson = False,
) -> ExitCode:
    """Move on another evening than the one that is planned."""

    async def work(client: TransferClient, output: Output) -> ExitCode:
        planned = await client.reschedule(which, evening=evening.date(), by=_me(by), reason=reason)
        output.answer(planned, Text(f"The move starts at {display.moment(planned.starts_at, output.zone)}."))
        return ExitCode.OK

    return _through_client(work, as_json=as_json)


@app.command()
def cancel(
    which: Which,
    reason: Annotated[str, typer.Option(help="Why, for the event log.")] = "",
    by: By = "",
    as_json: AsJson = False,
) -> ExitCode:
    """Undo a transfer at any moment before its release: the old environment becomes writable again."""

    async def work(client: TransferClient, output: Output) -> ExitCode:
        return _show_undo(output, await client.cancel(which, by=_me(by), reason=reason))

    return _through_client(work, as_json=as_json)


@app.command()
def events(which: Which, as_json: AsJson = False) -> ExitCode:
    """Tell the whole story of a transfer: who, what, when, why."""

    async def work(client: TransferClient, output: Output) -> ExitCode:
        story = await client.events(which)
        output.answer(story, tables.events(story, output.zone))
        return ExitCode.OK

    return _through_client(work, as_json=as_json)


@app.command()
def resend(
    which: Which,
    kind: Annotated[MailKind, typer.Option(help="Which mail.")],
    to: Annotated[str | None, typer.Option(help="One other address; those it did not reach, if left out.")] = None,
    by: By = "",
    as_json: AsJson = False,
) -> ExitCode:
    """Send one kind of mail again. Exit code 1 when it still did not reach somebody."""

    async def work(client: TransferClient, output: Output) -> ExitCode:
        sent = await client.resend_mail(which, kind=kind, to=to, by=_me(by))
        problems = [display.plain(f"{problem.recipient}: {problem.problem}", "red") for problem in sent.problems]
        output.answer(sent, Text(f"{sent.sent} sent."), *problems)
        return ExitCode.DIFFERENT if sent.problems else ExitCode.OK

    return _through_client(work, as_json=as_json)


@app.command()
def reconcile(
    *,
    fix: Annotated[
        bool, typer.Option("--fix", help="Put right what is provably safe to put right; needs a worker.")
    ] = False,
    deep: Annotated[
        bool, typer.Option("--deep", help="Also compare every row of clones that await their release.")
    ] = False,
    by: By = "",
    as_json: AsJson = False,
) -> ExitCode:
    """Look whether anything is half-moved; changes nothing without --fix. Exit code 6 when something is."""
    here = surroundings()
    return run(inspect(here, Output(as_json=as_json, zone=here.settings.zone), fix=fix, deep=deep, by=_me(by)))


@app.command("payload-keys")
def payload_keys(as_json: AsJson = False) -> ExitCode:
    """Tell which keys encrypt histories and which are still needed. Exit code 1 when one that is needed is missing."""
    here = surroundings()
    return run(tell_key_use(here, Output(as_json=as_json, zone=here.settings.zone)))


@keys.command()
def rotate(
    ring: Annotated[str, typer.Argument(metavar="RING", help="ticket, certificate, ...: each SB_TRANSFER_*_KEYS.")],
    file: Annotated[Path | None, typer.Option(metavar="FILE", help="The file that holds the ring.")] = None,
    folder: Annotated[
        Path | None, typer.Option("--dir", metavar="DIR", help="The data of the stack that holds the ring.")
    ] = None,
    how: Annotated[keyrings.Turn, typer.Option(help="See docs/operations.md, Keys.")] = keyrings.Turn.FRONT,
    as_json: AsJson = False,
) -> ExitCode:
    """Put a new key in front of a ring; what was made with the older ones stays good.

    The ring is that of --file, else of the environment, else of the stack in this folder.
    """
    return keyrings.rotate(ring, how, file, folder, os.environ, Output(as_json=as_json))


# --- how it begins and ends --------------------------------------------------------------------------------------


def execute(arguments: Sequence[str]) -> int:
    """Run one command line and return its exit code; every error becomes one line, or one document with `--json`."""
    as_json = "--json" in arguments
    try:
        answer = typer.main.get_command(app).main(
            list(arguments) or ["--help"], prog_name="sb-transfer", standalone_mode=False
        )
    except typer.Abort:
        return ExitCode.INTERRUPTED
    except SystemExit as stop:  # whoever read our output has gone
        return stop.code if isinstance(stop.code, int) else ExitCode.FAILED
    except typer.TyperException as error:
        return report_usage(error, as_json=as_json)
    except Exception as error:  # noqa: BLE001 - nobody gets a traceback
        return report(error, as_json=as_json)
    return answer if isinstance(answer, int) else ExitCode.OK


def main() -> NoReturn:
    """Run the command line of this process."""
    leave(execute(sys.argv[1:]))
