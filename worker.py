"""The worker: settings in, adapters wired to activities, three queues served until SIGTERM.

Run it with `python -m worker` or `sb-transfer worker`. It reads its settings from the environment (see `.env.example`),
finishes what it can on SIGTERM or SIGINT, and leaves the rest to the next worker.
"""

import asyncio
import gc
import logging
import signal
import sys
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from datetime import timedelta

from temporalio.client import Client
from temporalio.worker import Plugin, Worker

from activities.boundary import ErrorBoundary
from activities.clone import CloneActivities
from activities.evenings import EveningActivities
from activities.gate import GateActivities
from activities.log import LogActivities
from activities.mail import MailActivities
from activities.proof import ProofActivities
from activities.reconcile import ReconcileActivities
from activities.roster import Roster
from activities.successor import SuccessorActivities
from activities.tickets import TicketActivities, UploadActivities
from adapters.certificate import CertificateSigner
from adapters.clone import Limits, PostgresCloneEngine, require_sight
from adapters.evenings import PostgresEveningPlanner
from adapters.gate import PostgresEnvironmentGate
from adapters.healing import PostgresHealer
from adapters.inspection import PostgresInspector
from adapters.liveness import TemporalLiveness
from adapters.log import PostgresTransferLog
from adapters.mail import SmtpMailer
from adapters.mailroom import PostgresMailroom
from adapters.payloads import encrypting
from adapters.postgres import Pool, connect_pool
from adapters.prover import PostgresProver
from adapters.reservations import PostgresReservations
from adapters.settings import Settings, load_settings
from adapters.successor import PostgresSuccessorDesk
from adapters.temporal import connect_temporal
from adapters.tickets import PostgresTicketOffice, TicketSeal
from adapters.verifier import PostgresVerifier
from domain.errors import TransferError
from workflows import policies, queues
from workflows.mailbox import MailboxForwardingWorkflow
from workflows.reconcile import ReconcileWorkflow
from workflows.recovery import RecoveryWorkflow
from workflows.transfer import TransferWorkflow

_log = logging.getLogger("sb_transfer.worker")

# A clone keeps `clone_parallelism` connections busy: two at once already fill a small server, the others wait.
_CLONES_AT_ONCE = 2
# Short transactions: as many as the pool has connections for.
_TRANSACTIONS_AT_ONCE = 16
# A mail keeps a connection of its own while it is sent, and few servers like more than this many senders at once.
_MAILS_AT_ONCE = 4
# Long enough for every short transaction to end by itself; a clone is stopped then and resumes on the next worker.
_GRACE = timedelta(seconds=10)


def build_workers(
    client: Client, settings: Settings, *, quick: Pool, heavy: Pool, post: Pool, plugins: Sequence[Plugin] = ()
) -> tuple[Worker, Worker, Worker]:
    """Wire the adapters to the activities and return the workers for `transfers`, `clone` and `mail`.

    Each queue has a pool of connections of its own, so that none can take another's.

    Raises:
        Misconfigured: A ticket key, a certificate key or the SMTP url is unusable.
    """
    seal = TicketSeal(settings.ticket_keys)
    signer = CertificateSigner(settings.certificate_keys)
    verifier = PostgresVerifier(heavy, parallelism=settings.clone_parallelism)
    engine = PostgresCloneEngine(heavy, parallelism=settings.clone_parallelism, limits=_limits(settings))
    mailer = SmtpMailer(settings.smtp_url, settings.mail_from)
    reservations = PostgresReservations(quick, seal, base_domain=settings.base_domain, window=settings.window)
    gate = PostgresEnvironmentGate(quick, remind_every=settings.release_reminder_every)
    roster = Roster(
        gate=GateActivities(gate),
        tickets=TicketActivities(
            PostgresTicketOffice(quick, seal, settings.ticket_ttl, reminders=settings.ticket_reminders)
        ),
        uploads=UploadActivities(reservations),
        evenings=EveningActivities(PostgresEveningPlanner(quick, settings.window)),
        clone=CloneActivities(engine, verifier),
        proof=ProofActivities(PostgresProver(heavy, verifier, signer)),
        successor=SuccessorActivities(PostgresSuccessorDesk(quick)),
        mail=MailActivities(PostgresMailroom(post, mailer, settings.zone)),
        log=LogActivities(PostgresTransferLog(quick)),
    )
    reconcile = ReconcileActivities(
        PostgresInspector(quick, TemporalLiveness(client), verifier),
        PostgresHealer(quick, gate=gate, reservations=reservations, engine=engine),
    )
    boundary = ErrorBoundary()
    transfers = Worker(
        client,
        task_queue=queues.TRANSFERS,
        workflows=[TransferWorkflow, MailboxForwardingWorkflow, RecoveryWorkflow, ReconcileWorkflow],
        activities=[*roster.short(), *reconcile.short()],
        interceptors=[boundary],
        plugins=plugins,
        max_concurrent_activities=_TRANSACTIONS_AT_ONCE,
        graceful_shutdown_timeout=_GRACE,
    )
    heavy_work = Worker(
        client,
        task_queue=queues.CLONE,
        activities=[*roster.heavy(), *reconcile.heavy()],
        interceptors=[boundary],
        plugins=plugins,
        max_concurrent_activities=_CLONES_AT_ONCE,
        max_heartbeat_throttle_interval=policies.BEAT,
        graceful_shutdown_timeout=_GRACE,
    )
    mail = Worker(
        client,
        task_queue=queues.MAIL,
        activities=roster.post(),
        interceptors=[boundary],
        plugins=plugins,
        max_concurrent_activities=_MAILS_AT_ONCE,
        graceful_shutdown_timeout=_GRACE,
    )
    return transfers, heavy_work, mail


def _limits(settings: Settings) -> Limits:
    return Limits(lag_bytes=settings.clone_max_lag, active_sessions=settings.clone_max_active)


async def serve(settings: Settings, *, plugins: Sequence[Plugin] = ()) -> None:
    """Work until SIGTERM or SIGINT.

    Raises:
        Unavailable: A server cannot be reached at the start; later interruptions are waited out.
        Misconfigured: A setting is unusable, or needs a right in the database that is not there.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, stop.set)
    async with AsyncExitStack() as resources:
        dsn = settings.database_url.get_secret_value()
        quick = await connect_pool(
            dsn, min_size=1, max_size=_TRANSACTIONS_AT_ONCE, application_name="sb-transfer worker"
        )
        resources.push_async_callback(quick.close)
        heavy = await connect_pool(
            dsn,
            # Each clone also holds one connection for its bookkeeping.
            max_size=_CLONES_AT_ONCE * (settings.clone_parallelism + 1),
            application_name="sb-transfer clone",
        )
        resources.push_async_callback(heavy.close)
        await require_sight(quick, _limits(settings))
        post = await connect_pool(dsn, min_size=1, max_size=_MAILS_AT_ONCE, application_name="sb-transfer mail")
        resources.push_async_callback(post.close)
        client = await connect_temporal(data_converter=encrypting(settings.payload_keys))
        for worker in build_workers(client, settings, quick=quick, heavy=heavy, post=post, plugins=plugins):
            await resources.enter_async_context(worker)
        served = f"{queues.TRANSFERS}, {queues.CLONE}, {queues.MAIL}"
        _log.info("serving %s of namespace %s", served, client.namespace)
        await stop.wait()
        _log.info("stopping: finishing short work, leaving the rest to the next worker")


def main(*, plugins: Sequence[Plugin] = ()) -> int:
    """Run the worker; return the exit code: 0 after a signal, 3 without a server, 4 with unusable settings."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s", stream=sys.stderr)
    try:
        asyncio.run(serve(load_settings(), plugins=plugins))
    except TransferError as error:
        _log.error("%s", error)
        return 3 if error.retryable else 4
    finally:
        # The SDK's threads may outlive the interpreter and abort it (exit 134): let them end first.
        gc.collect()
        time.sleep(0.2)
    return 0


if __name__ == "__main__":
    sys.exit(main())
