"""`sb-transfer reconcile`: looking by oneself, and having the worker put right what is wrong."""

import asyncio
from datetime import timedelta
from typing import Annotated

import typer
from rich.console import RenderableType
from rich.text import Text
from temporalio.client import Client, WorkflowFailureError, WorkflowHandle, WorkflowQueryFailedError
from temporalio.common import WorkflowIDConflictPolicy, WorkflowIDReusePolicy
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError

from adapters.crypto.payload_codec import EncryptingCodec, encrypting
from adapters.postgres.database import database
from adapters.postgres.payload_keys import require_ring
from adapters.postgres.shards import open_shards
from adapters.reconcile.inspection import PostgresInspector
from adapters.settings import Settings
from adapters.temporal.client import connect_temporal, pollers
from adapters.temporal.running_workflows import TemporalWorkflows
from adapters.verify.verifier import PostgresVerifier
from domain.reconciliation import RECONCILE_SCHEDULE, Findings, Inspect, Reconcile, Reconciled, ReconcileProgress
from domain.violations import MEANING
from starter.cli.options import AsJson, By, acting_user
from starter.cli.output import ExitCode, Output, run
from starter.cli.panels import columns, plain
from starter.client.errors import NoWorker, domain_errors
from starter.environment import Surroundings, surroundings
from workflows.markdown import fenced
from workflows.reconcile import VIOLATED, ReconcileWorkflow
from workflows.task_queues import TRANSFERS

_RPC_TIMEOUT = timedelta(seconds=10)

_TELL_EVERY_SECONDS = 2.0
_Run = WorkflowHandle[ReconcileWorkflow, Reconciled]

commands = typer.Typer()


@commands.command()
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
    return run(_inspect(here, Output(as_json=as_json, zone=here.settings.zone), fix=fix, deep=deep, by=acting_user(by)))


async def _inspect(here: Surroundings, output: Output, *, fix: bool, deep: bool, by: str) -> ExitCode:
    """Look whether anything is half-moved, and heal it when that is asked for.

    Raises:
        Unavailable: A server does not answer, or there is no worker to heal with.
    """
    async with database(here.settings.database_url) as pool:
        await require_ring(pool, EncryptingCodec(here.settings.payload_keys).key_ids)
    client = await connect_temporal(environment=here.environment, data_converter=encrypting(here.settings.payload_keys))
    if fix:
        outcome = await _heal(client, Reconcile(heal=True, deep=deep, requested_by=by), output)
    else:
        found = await _look(here.settings, client, deep=deep)
        outcome = Reconciled(found=found, left=found)
    output.answer(outcome, *_answer(outcome))
    return ExitCode.VIOLATED if outcome.left.wrong else ExitCode.OK


async def _look(settings: Settings, client: Client, *, deep: bool) -> Findings:
    """Look from here: for that no worker is needed."""
    connections = 2 + settings.clone_parallelism
    async with (
        database(settings.database_url, connections=connections) as pool,
        open_shards(pool, settings.cells, max_size=connections, application_name="sb-transfer client") as shards,
    ):
        verifier = PostgresVerifier(pool, parallelism=settings.clone_parallelism, shards=shards)
        inspector = PostgresInspector(pool, TemporalWorkflows(client, TRANSFERS), verifier, shards=shards)
        return await inspector.inspect(Inspect(deep=deep))


async def _heal(client: Client, order: Reconcile, output: Output) -> Reconciled:
    """Have it done by the worker, so that it goes on when this command is broken off."""
    with domain_errors():
        if not await pollers(client, TRANSFERS):
            raise NoWorker
        handle = await client.start_workflow(
            ReconcileWorkflow.run,
            order,
            # A deep look is not answered by one that is under way and is not.
            id=f"{RECONCILE_SCHEDULE}-fix{'-deep' if order.deep else ''}",
            task_queue=TRANSFERS,
            id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
            id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
            static_summary=f"asked for by {fenced(order.requested_by, 40)}",
            rpc_timeout=_RPC_TIMEOUT,
        )
        try:
            return await _tell_progress(handle, output)
        except WorkflowFailureError as error:
            if isinstance(error.cause, ApplicationError) and error.cause.type == VIOLATED:
                return Reconciled.model_validate(error.cause.details[0])
            raise


async def _tell_progress(handle: _Run, output: Output) -> Reconciled:
    """Wait for the end, however long that takes, and say now and then how far it is."""
    result = asyncio.create_task(handle.result())
    told = ""
    try:
        while not (await asyncio.wait({result}, timeout=_TELL_EVERY_SECONDS))[0]:
            try:
                at = await handle.query(ReconcileWorkflow.progress, rpc_timeout=_RPC_TIMEOUT)
            except (RPCError, WorkflowQueryFailedError):
                continue  # the next question may be answered
            if (line := _progress_line(at)) != told:
                output.say(line)
                told = line
    finally:
        result.cancel()
    return result.result()


def _progress_line(at: ReconcileProgress | None) -> str:
    if at is None:
        return "looking at everything ..."
    done = at.put_right + at.left_to_people
    return (
        f"{at.inspected.wrong:,} wrong, {at.after:,} of them looked at; {at.put_right:,} of {done:,} put right so far"
    )


def _answer(outcome: Reconciled) -> list[RenderableType]:
    shown: list[RenderableType] = []
    if outcome.healings:
        table = columns("what was wrong", "whose", "", "what was done")
        for healing in outcome.healings:
            verdict = Text("put right", style="green") if healing.done else Text("left to you", style="bold red")
            one = healing.violation
            table.add_row(one.kind.value.replace("_", " "), plain(one.subject), verdict, plain(healing.what))
        shown.append(table)
        more = outcome.put_right + outcome.left_to_people - len(outcome.healings)
        if more > 0:
            in_all = f"{outcome.put_right:,} put right, {outcome.left_to_people:,} left to you"
            shown.append(Text(f"and {more:,} more; in all {in_all}."))
    return [*shown, *_listed(outcome.left)]


def _listed(findings: Findings) -> list[RenderableType]:
    head = f"{findings.environments} environments, {findings.transfers} transfers"
    if findings.compared:
        head += f", {findings.compared} clones compared row by row"
    if not findings.wrong:
        return [Text(f"{head}: nothing is half-moved.", style="green")]
    table = columns("what is wrong", "whose", "seen")
    for one in findings.violations:
        table.add_row(one.kind.value.replace("_", " "), plain(one.subject), plain(one.what))
    remedies = [
        Text.assemble((f"{MEANING[one.kind]} ", "bold"), one.remedy)
        for one in {one.kind: one for one in findings.violations}.values()
    ]
    shown: list[RenderableType] = [Text(f"{head}: {findings.wrong:,} wrong.", style="bold red"), table]
    if findings.wrong > len(findings.violations):
        kinds = ", ".join(f"{number:,} {kind.value.replace('_', ' ')}" for kind, number in findings.by_kind.items())
        shown.append(Text(f"and {findings.wrong - len(findings.violations):,} more; in all: {kinds}"))
    return [*shown, *remedies]
