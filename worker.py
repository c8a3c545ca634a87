"""The worker: settings in, adapters wired to activities, their queues served until SIGTERM.

Run it with `python -m worker` or `sb-transfer worker`. It reads its settings from the environment (see `.env.example`),
finishes what it can on SIGTERM or SIGINT, and leaves the rest to the next worker.
"""

import asyncio
import logging
import signal
import sys
from collections.abc import Callable, Coroutine, Sequence
from contextlib import AsyncExitStack
from datetime import timedelta
from typing import Any

from temporalio.client import Client
from temporalio.common import VersioningBehavior, WorkerDeploymentVersion
from temporalio.worker import Plugin, Worker, WorkerDeploymentConfig

from activities.boundary import ErrorBoundary
from activities.certification import CertificationActivities
from activities.clone import CloneActivities
from activities.event_log import EventLogActivities
from activities.freeze_release import FreezeReleaseActivities
from activities.mail import MailActivities
from activities.payloads import PayloadActivities
from activities.portfolio import PortfolioActivities
from activities.preview import PreviewActivities
from activities.reconcile import ReconcileActivities
from activities.registry import ActivityRegistry
from activities.retirement import RetirementActivities
from activities.scheduling import SchedulingActivities
from activities.target_setup import TargetSetupActivities
from activities.tickets import TicketActivities, UploadActivities
from activities.webhooks import WebhookActivities
from adapters.clone import Limits, PostgresCloneEngine, require_sight
from adapters.crypto.certificate_signer import CertificateSigner
from adapters.crypto.payload_codec import EncryptingCodec, KeyringPayloadOpener, encrypting
from adapters.crypto.webhook_secrets import WebhookSecrets
from adapters.inbox.delivering import HeldItemDelivery
from adapters.mail.sender import PostgresMailer
from adapters.mail.smtp import SmtpClient
from adapters.observability.activity_interceptor import ActivityInterceptor
from adapters.observability.database_gauges import DatabaseGauges
from adapters.observability.health import HealthServer, WorkerHealth
from adapters.observability.logs import configure_logs
from adapters.observability.metrics import UNMEASURED, Metrics
from adapters.observability.program import run_program
from adapters.observability.runtime import start_runtime
from adapters.observability.tracing import traced
from adapters.postgres.connection import Connection, connect_pool
from adapters.postgres.contained import require_carrier
from adapters.postgres.guards import unguarded_definitions
from adapters.postgres.payload_keys import require_ring
from adapters.postgres.session_priority import stand_as_this_process
from adapters.postgres.shards import Shards, open_shards
from adapters.reconcile.inspection import NotedInspector, PostgresInspector
from adapters.reconcile.repairs import PostgresRepairer
from adapters.settings import CACHED_WORKFLOW_BYTES, Inviter, Settings, WorkerRole, load_settings
from adapters.temporal.build_id import build_id
from adapters.temporal.client import connect_temporal
from adapters.temporal.deliverer import ensure_deliverer
from adapters.temporal.running_workflows import TemporalWorkflows
from adapters.transfer.auditfile import PostgresAuditor
from adapters.transfer.evening_report import EveningReporter
from adapters.transfer.evenings import PostgresEvenings
from adapters.transfer.event_log import PostgresTransferEventLog
from adapters.transfer.freeze_release import PostgresEnvironmentAccess
from adapters.transfer.preview import PostgresPreviewReader
from adapters.transfer.rehearsal import PostgresRehearsal
from adapters.transfer.retirement import PostgresRetirements
from adapters.transfer.scheduling import PostgresEveningPlanner
from adapters.transfer.target_setup import PostgresTargetSetup
from adapters.transfer.tickets import PostgresTicketIssuer, TicketSeal
from adapters.transfer.tried_structures import TriedStructures
from adapters.transfer.uploads import PostgresReservations
from adapters.verify.certification import PostgresCertifier
from adapters.verify.prefetch import Prefetcher
from adapters.verify.verifier import PostgresVerifier
from adapters.webhooks.addresses import AddressRules
from adapters.webhooks.deliverer import WebhookDeliverer
from adapters.webhooks.deliveries import Deliveries
from domain.errors import Misconfigured
from domain.vocabulary import HOME
from starter.client.portfolio import portfolio_mover
from workflows import policies
from workflows import task_queues as queues
from workflows.mailbox import MailboxForwardingWorkflow
from workflows.portfolio import PortfolioWorkflow
from workflows.reconcile import ReconcileWorkflow
from workflows.recovery import RecoveryWorkflow
from workflows.retirement import RetirementWorkflow
from workflows.sandbox import sandbox
from workflows.transfer import TransferWorkflow
from workflows.webhooks import DELIVERERS, WebhooksWorkflow

_log = logging.getLogger("sb_transfer.worker")

# Long enough for every short transaction to end by itself. A clone has longer (`Settings.drain`): it ends what it is
# at, and the next worker goes on after that.
_GRACE = timedelta(seconds=10)
_PREVIEWS_AT_ONCE = 2
_CHECKS_AT_ONCE = 2
_WORKFLOWS = (
    TransferWorkflow,
    MailboxForwardingWorkflow,
    RecoveryWorkflow,
    ReconcileWorkflow,
    WebhooksWorkflow,
    RetirementWorkflow,
    PortfolioWorkflow,
)
# Deliverers hold one for milliseconds at a time.
_WEBHOOK_CONNECTIONS = 4


def build_workers(
    client: Client,
    settings: Settings,
    *,
    quick: Shards,
    heavy: Shards,
    post: Shards,
    plugins: Sequence[Plugin] = (),
    metrics: Metrics = UNMEASURED,
) -> list[Worker]:
    """Wire the adapters to the activities and return the workers for each queue: those of cells too.

    Each kind of queue has pools of connections of its own, so that none can take another's.

    Raises:
        Misconfigured: A ticket key, a certificate key or the SMTP url is unusable.
    """
    seal = TicketSeal(settings.ticket_keys)
    signer = CertificateSigner(settings.certificate_keys)
    parallelism, home = settings.clone_parallelism, quick.home
    verifier = PostgresVerifier(heavy.home, parallelism=parallelism, shards=heavy)
    engine = PostgresCloneEngine(
        heavy.home,
        parallelism=parallelism,
        limits=_limits(settings),
        shards=heavy,
        metrics=metrics,
        meanwhile=Prefetcher,
    )
    mailer = SmtpClient(settings.smtp_url, settings.mail_from, reply_to=settings.mail_reply_to)
    reservations = PostgresReservations(
        home, seal, base_domain=settings.base_domain, window=settings.window, shards=quick
    )
    gate = PostgresEnvironmentAccess(home, remind_every=settings.release_reminder_every, shards=quick, metrics=metrics)
    log = PostgresTransferEventLog(home, metrics)
    running = TemporalWorkflows(client, queues.TRANSFERS)
    tried = TriedStructures()
    registry = ActivityRegistry(
        freeze_release=FreezeReleaseActivities(gate),
        tickets=TicketActivities(
            PostgresTicketIssuer(home, seal, settings.ticket_ttl, reminders=settings.ticket_reminders)
        ),
        uploads=UploadActivities(reservations),
        scheduling=SchedulingActivities(PostgresEveningPlanner(home, settings.window, shards=quick)),
        clone=CloneActivities(engine, verifier, log),
        certification=CertificationActivities(
            PostgresCertifier(
                heavy.home, verifier, signer, shards=heavy, look=PostgresRehearsal(heavy, tried).require_movable
            ),
            log,
        ),
        target_setup=TargetSetupActivities(PostgresTargetSetup(home, shards=quick)),
        mail=MailActivities(
            PostgresMailer(
                post.home,
                mailer,
                settings.zone,
                support=settings.support_contact,
                cancel_licence_url=settings.cancel_licence_url,
                platform_invites=settings.inviter is Inviter.PLATFORM,
                shards=post,
                metrics=metrics,
            )
        ),
        event_log=EventLogActivities(log),
        payloads=PayloadActivities(KeyringPayloadOpener(settings.payload_keys)),
        previews=PreviewActivities(
            PostgresPreviewReader(
                home, shards=quick, mail=mailer, question_timeout=settings.question_timeout, tried=tried
            ),
            PostgresAuditor(quick),
        ),
        portfolios=PortfolioActivities(
            portfolio_mover(
                client,
                settings,
                quick,
                seal=seal,
                log=log,
                verifier=PostgresVerifier(home, parallelism=1, shards=quick),
            )
        ),
        webhooks=WebhookActivities(
            WebhookDeliverer(
                home,
                WebhookSecrets(settings.payload_keys),
                AddressRules(settings.webhook_networks),
                metrics=metrics,
            )
        ),
        retirement=RetirementActivities(PostgresRetirements(home, signer, wait=settings.retirement_wait, shards=quick)),
        reconcile=ReconcileActivities(
            NotedInspector(PostgresInspector(home, running, verifier, shards=quick), home),
            PostgresRepairer(
                home, gate=gate, reservations=reservations, engine=engine, workflows=running, shards=quick
            ),
        ),
    )
    interceptors = (ActivityInterceptor(metrics), ErrorBoundary(log))
    deployment = deployment_of(settings)

    def worker(queue: str, slots: int, *, grace: timedelta = _GRACE, **more: Any) -> Worker:
        return Worker(
            client,
            task_queue=queue,
            activities=registry.all(),
            interceptors=interceptors,
            plugins=plugins,
            deployment_config=deployment,
            max_concurrent_activities=slots,
            graceful_shutdown_timeout=grace,
            **more,
        )

    def heavy_workers(queue: str, slots: int) -> list[Worker]:
        return [
            worker(
                queues.queue_of_cell(queue, cell),
                slots,
                grace=settings.drain,
                max_heartbeat_throttle_interval=policies.BEAT,
            )
            for cell in served_cells(settings)
        ]

    # Made only when they are to be run: a connection has one worker of a queue, whether that runs or not.
    made: dict[WorkerRole, Callable[[], list[Worker]]] = {
        WorkerRole.TRANSFERS: lambda: [
            worker(
                queues.TRANSFERS,
                settings.slots_transfers,
                workflows=_WORKFLOWS,
                workflow_runner=sandbox(apart=False),
                max_cached_workflows=settings.workflow_cache // CACHED_WORKFLOW_BYTES,
            )
        ],
        WorkerRole.CLONES: lambda: heavy_workers(queues.CLONE, settings.slots_clone),
        WorkerRole.CHECKS: lambda: heavy_workers(queues.CHECKS, _CHECKS_AT_ONCE),
        WorkerRole.MAIL: lambda: [worker(queues.MAIL, settings.slots_mail)],
        WorkerRole.PREVIEWS: lambda: [worker(queues.PREVIEWS, _PREVIEWS_AT_ONCE)],
        WorkerRole.WEBHOOKS: lambda: [worker(queues.WEBHOOKS, DELIVERERS)],
    }
    return [one for role, make in made.items() if role in served_roles(settings) for one in make()]


def served_roles(settings: Settings) -> tuple[WorkerRole, ...]:
    """Return what this worker does: what was chosen, or everything."""
    return settings.serve_roles or tuple(WorkerRole)


def watched_queue(settings: Settings) -> str:
    """Return the queue on which Temporal has to have heard a worker ask for work before it is ready."""
    queue_of = {
        WorkerRole.TRANSFERS: queues.TRANSFERS,
        WorkerRole.CLONES: queues.queue_of_cell(queues.CLONE, served_cells(settings)[0]),
        WorkerRole.CHECKS: queues.queue_of_cell(queues.CHECKS, served_cells(settings)[0]),
        WorkerRole.MAIL: queues.MAIL,
        WorkerRole.PREVIEWS: queues.PREVIEWS,
        WorkerRole.WEBHOOKS: queues.WEBHOOKS,
    }
    return next(queue for role, queue in queue_of.items() if role in served_roles(settings))


def served_cells(settings: Settings) -> tuple[str, ...]:
    """Return the cells whose heavy work this worker does: those that were chosen, or all.

    Raises:
        Misconfigured: One was chosen that there is no address for.
    """
    every = (HOME, *settings.cells)
    chosen = settings.serve_cells or every
    if unknown := [cell for cell in chosen if cell not in every]:
        raise Misconfigured(
            f"SB_TRANSFER_SERVE_CELLS names {', '.join(unknown)}, and SB_TRANSFER_CELLS has no address for it. "
            f"There are: {', '.join(every)}."
        )
    return chosen


def deployment_of(settings: Settings) -> WorkerDeploymentConfig | None:
    """Return the version that these workers are, None when they are not versioned.

    Transfers move along to the version that is made current, for they live for weeks: docs/deploys.md says why.
    """
    if settings.deployment is None:
        return None
    return WorkerDeploymentConfig(
        version=WorkerDeploymentVersion(settings.deployment, settings.build_id or build_id()),
        use_worker_versioning=True,
        default_versioning_behavior=VersioningBehavior.AUTO_UPGRADE,
    )


def _limits(settings: Settings) -> Limits:
    return Limits(lag_bytes=settings.clone_max_lag, active_sessions=settings.clone_max_active)


async def serve(settings: Settings, *, plugins: Sequence[Plugin] = ()) -> None:
    """Work until SIGTERM or SIGINT.

    Raises:
        Unavailable: A server cannot be reached at the start; later interruptions are waited out.
        Misconfigured: A setting is unusable, needs a right in the database that is not there, or holds other payload
            keys than all other programs have.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, stop.set)
    async with AsyncExitStack() as resources:
        tracing = resources.enter_context(traced("sb-transfer-worker"))
        runtime = start_runtime(settings.metrics_bind)
        # Each clone also holds one connection for its bookkeeping, and may read or write in any cell.
        places = settings.slots_clone + _CHECKS_AT_ONCE
        clones = len(served_cells(settings)) * places * (settings.clone_parallelism + 1)
        quick = await _shards(
            resources,
            settings,
            "sb-transfer worker",
            settings.slots_transfers + _PREVIEWS_AT_ONCE + _WEBHOOK_CONNECTIONS,
            ready=1,
        )
        heavy = await _shards(resources, settings, "sb-transfer clone", clones, prove=stand_as_this_process)
        await require_sight(quick.home, _limits(settings))
        await require_carrier(quick)
        key_ids = EncryptingCodec(settings.payload_keys).key_ids
        await require_ring(quick.home, key_ids)
        if unguarded := await unguarded_definitions(quick):
            _log.warning(unguarded)
        post = await _shards(resources, settings, "sb-transfer mail", settings.slots_mail, ready=1)
        client = await connect_temporal(
            data_converter=encrypting(settings.payload_keys),
            interceptors=tracing.interceptors() if tracing else (),
            runtime=runtime,
        )
        if settings.metrics_bind is not None:
            evenings = PostgresEvenings(quick.home, settings.window, slots=settings.slots_clone)
            gauges = DatabaseGauges(quick.home, runtime.metric_meter, evenings.evening)
            reading = asyncio.create_task(gauges.keep_reading(), name="gauges")
            resources.callback(reading.cancel)
        delivering = asyncio.create_task(HeldItemDelivery(quick).keep_delivering(), name="held items")
        resources.callback(delivering.cancel)
        if await Deliveries(quick.home).endpoints():
            await ensure_deliverer(client, task_queue=queues.TRANSFERS)
        if settings.operators_to and WorkerRole.MAIL in served_roles(settings):
            reporter = EveningReporter(
                post.home,
                settings.window,
                SmtpClient(settings.smtp_url, settings.mail_from, reply_to=settings.mail_reply_to),
                settings.operators_to,
                support=settings.support_contact,
            )
            reporting = asyncio.create_task(reporter.keep_reporting(), name="evening report")
            resources.callback(reporting.cancel)
        health = WorkerHealth(quick, client, watched_queue(settings), key_ids)
        if settings.health_port is not None:
            await resources.enter_async_context(
                HealthServer(settings.health_host, settings.health_port, health.readiness)
            )
        metrics = Metrics(runtime.metric_meter)
        workers = build_workers(client, settings, quick=quick, heavy=heavy, post=post, plugins=plugins, metrics=metrics)
        await _work(workers, stop, health)


async def _work(workers: Sequence[Worker], stop: asyncio.Event, health: WorkerHealth) -> None:
    """Run workers until they are to stop, and then stop them all at once: each waits for what it is at."""
    async with asyncio.TaskGroup() as running:
        for worker in workers:
            running.create_task(worker.run())
        served = ", ".join(worker.task_queue for worker in workers)
        _log.info("serving %s of namespace %s", served, health.client.namespace)
        await stop.wait()
        health.stopping = True
        _log.info("stopping: finishing what is at work, leaving the rest to the next worker")
        for worker in workers:
            running.create_task(worker.shutdown())


async def _shards(
    resources: AsyncExitStack,
    settings: Settings,
    name: str,
    most: int,
    *,
    ready: int = 0,
    prove: Callable[[Connection], Coroutine[Any, Any, None]] | None = None,
) -> Shards:
    """Connect to the home database and to every other cell, with at most so many connections to each."""
    dsn = settings.database_url.get_secret_value()
    home = await connect_pool(dsn, min_size=ready, max_size=most, application_name=name, prove=prove)
    resources.push_async_callback(home.close)
    return await resources.enter_async_context(open_shards(home, settings.cells, max_size=most, application_name=name))


def main(*, plugins: Sequence[Plugin] = ()) -> int:
    """Run the worker; return the exit code of `run_program`."""

    async def run() -> None:
        settings = load_settings()
        configure_logs(settings.log_format)
        await serve(settings, plugins=plugins)

    return run_program(run, _log)


if __name__ == "__main__":
    sys.exit(main())
