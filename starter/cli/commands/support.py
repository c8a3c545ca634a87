"""Support: another moment, an undo, a mail once more."""

from datetime import datetime
from typing import Annotated

import typer
from rich.text import Text

from domain.vocabulary import MailKind
from starter.cli import panels
from starter.cli.options import AsJson, By, Reason, Which, acting_user, with_client
from starter.cli.output import ExitCode, Output
from starter.cli.watch import answer_with
from starter.client.client import TransferClient

commands = typer.Typer()


@commands.command("start-now")
def start_now(which: Which, by: By = "", as_json: AsJson = False) -> ExitCode:
    """Do not wait for 22:00: clone now."""

    async def work(client: TransferClient, output: Output) -> ExitCode:
        return answer_with(output, await client.start_now(which, by=acting_user(by)))

    return with_client(work, as_json=as_json)


@commands.command()
def reschedule(
    which: Which,
    evening: Annotated[
        datetime, typer.Option(formats=["%Y-%m-%d"], help="The day on which the window opens, such as 2026-12-01.")
    ],
    reason: Reason = "",
    by: By = "",
    as_json: AsJson = False,
) -> ExitCode:
    """Move on another evening than the one that is planned."""

    async def work(client: TransferClient, output: Output) -> ExitCode:
        planned = await client.reschedule(which, evening=evening.date(), by=acting_user(by), reason=reason)
        output.answer(planned, Text(f"The move starts at {panels.moment(planned.starts_at, output.zone)}."))
        return ExitCode.OK

    return with_client(work, as_json=as_json)


@commands.command()
def correct(  # noqa: PLR0917 - typer names them on the command line
    which: Which,
    name: Annotated[str | None, typer.Option(help="The environment's name under its new licence.")] = None,
    url: Annotated[str | None, typer.Option(help="The customer's part of the new url.")] = None,
    login_email: Annotated[
        str | None, typer.Option(help="What the customer logs in with, after a move to a self-managed licence.")
    ] = None,
    reason: Reason = "",
    by: By = "",
    as_json: AsJson = False,
) -> ExitCode:
    """Correct the name, url part or login e-mail that was uploaded, until the evening begins."""

    async def work(client: TransferClient, output: Output) -> ExitCode:
        if name is None and url is None and login_email is None:
            raise typer.BadParameter("give at least one of --name, --url and --login-email")
        corrected = await client.correct_upload(
            which, name=name, url_part=url, login_email=login_email, by=acting_user(by), reason=reason
        )
        output.answer(corrected, Text(f"It will be {corrected.name}, at {corrected.url}."))
        return ExitCode.OK

    return with_client(work, as_json=as_json)


@commands.command()
def hurry(
    which: Which,
    reason: Annotated[str, typer.Option(help="Why, for the event log.")],
    by: By = "",
    as_json: AsJson = False,
) -> ExitCode:
    """Let a transfer go before all others that wait for a place."""

    async def work(client: TransferClient, output: Output) -> ExitCode:
        await client.hurry(which, by=acting_user(by), reason=reason)
        return answer_with(output, await client.status(which))

    return with_client(work, as_json=as_json)


@commands.command()
def cancel(
    which: Which,
    reason: Reason = "",
    by: By = "",
    as_json: AsJson = False,
) -> ExitCode:
    """Undo a transfer at any moment before its release: the old environment becomes writable again."""

    async def work(client: TransferClient, output: Output) -> ExitCode:
        answer_with(output, await client.cancel(which, by=acting_user(by), reason=reason))
        return ExitCode.OK  # undone is what was asked for

    return with_client(work, as_json=as_json)


@commands.command()
def resend(
    which: Which,
    kind: Annotated[MailKind, typer.Option(help="Which mail.")],
    to: Annotated[str | None, typer.Option(help="One other address; those it did not reach, if left out.")] = None,
    by: By = "",
    as_json: AsJson = False,
) -> ExitCode:
    """Send a mail of what has happened to those whom it did not reach. Exit code 1 when it still did not."""

    async def work(client: TransferClient, output: Output) -> ExitCode:
        sent = await client.resend_mail(which, kind=kind, to=to, by=acting_user(by))
        problems = [panels.plain(f"{problem.recipient}: {problem.problem}", "red") for problem in sent.problems]
        already = f" {sent.already} had it already." if sent.already else ""
        output.answer(sent, Text(f"{sent.sent - sent.already} sent.{already}"), *problems)
        return ExitCode.DIFFERENT if sent.problems else ExitCode.OK

    return with_client(work, as_json=as_json)
