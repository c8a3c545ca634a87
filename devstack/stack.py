"""The whole stack on this machine: PostgreSQL, Temporal, mail and the worker, each a real server of its own."""

import asyncio
import os
import signal
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

import asyncpg
from temporalio.client import Client

from adapters.crypto.payload_codec import EncryptingCodec, encrypting
from adapters.postgres.shards import set_up
from adapters.private_files import close_to_others, make_private_folder
from adapters.settings import settings_of
from adapters.temporal.client import connect_temporal, register_search_attributes
from adapters.temporal.schedule import ensure_nightly
from devstack import processes
from devstack.api import ApiProcess, CodecProcess, IdentityProcess, WebProcess
from devstack.info import DEFAULT_FOLDER, StackInfo, key_rings, session_keys
from devstack.issuer import EmbeddedIssuer
from devstack.lock import FolderLock
from devstack.mail_process import MailProcess
from devstack.postgres import EmbeddedPostgres
from devstack.server_process import ServerProcess
from devstack.supervision import Supervision
from devstack.temporal import EmbeddedTemporal
from devstack.worker import COMMAND as WORKER_COMMAND
from devstack.worker import WorkerProcess
from domain.errors import Misconfigured, Unavailable
from workflows import search_attributes
from workflows.task_queues import TRANSFERS

_CONNECT_TIMEOUT_SECONDS = 5.0
_PORTS = {"smtp": 25, "smtps": 465, "smtp+starttls": 587}
_POSTGRES_PORT = 5432
# SIGHUP: the terminal was closed.
_STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
_DATABASE, _TEMPORAL, _SMTP = "SB_TRANSFER_DATABASE_URL", "TEMPORAL_ADDRESS", "SB_TRANSFER_SMTP_URL"
_ORIGINS, _PROXIES = "SB_TRANSFER_CODEC_ORIGINS", "SB_TRANSFER_API_TRUSTED_PROXIES"
_UI = "SB_TRANSFER_TEMPORAL_UI_URL"
# A server that is killed loses nothing by this, only a machine that is.
_FORGETFUL = {"fsync": "off", "full_page_writes": "off"}
# Whoever tries the product out has an endpoint on the same machine.
_NEARBY = {"SB_TRANSFER_WEBHOOK_NETWORKS": "127.0.0.0/8"}
_OF_THE_WORKER = ("SB_TRANSFER_CERTIFICATE_KEYS", _SMTP, "SB_TRANSFER_CELLS")


def _shared_machine_settings() -> dict[str, str]:
    """Return what clones may take where the database shares its machine with all others: half of the cores.

    With both of two cores at work on clones, whoever asks the API waits for a turn at every step of the answer.
    """
    half = str(max(len(os.sched_getaffinity(0)) // 2, 1))
    return {"SB_TRANSFER_SLOTS_CLONE": half, "SB_TRANSFER_CLONE_PARALLELISM": half}


class Stack:
    """A running stack in a folder. What the environment already names is used instead of the stack's own server.

    `async with Stack(folder) as stack` starts it, and stops it in order at the end. After a crash, of a part or of
    everything, the next start ends what was left behind and goes on with the same data.
    """

    def __init__(
        self,
        folder: Path = DEFAULT_FOLDER,
        *,
        worker: bool = True,
        api: bool = False,
        codec: bool = False,
        web: bool = False,
        environment: Mapping[str, str] | None = None,
        worker_command: Sequence[str] = WORKER_COMMAND,
        restarts: bool = True,
        lasts: bool = True,
    ) -> None:
        """Prepare a stack.

        Args:
            folder: Made when it is missing; holds all data, logs and secrets.
            worker: Whether to run the worker too.
            api: Whether to run the HTTP API too.
            codec: Whether to run the codec server too, which lets the Temporal UI show plain text.
            web: Whether to serve the pages too, which need the API, and with them a place to log in.
            environment: Settings to honour instead of this process's environment variables.
            worker_command: The program that is the worker.
            restarts: Whether a server that dies is started again by itself.
            lasts: Whether the books have to outlive a crash of the machine itself; those of a demo need not.
        """
        self.folder = folder.absolute()
        self._given = dict(os.environ if environment is None else environment)
        self._wants_worker = worker
        self._restarts = restarts
        self._worker = WorkerProcess(self.folder / "worker", worker_command)
        self._wants_api = api
        self._api = ApiProcess(self.folder / "api")
        self._wants_codec = codec
        self._codec = CodecProcess(self.folder / "codec")
        self._wants_web = web
        self._web = WebProcess(self.folder / "web")
        self._wants_identity = web and not self._given.get("SB_TRANSFER_OIDC_ISSUER")
        self._identity = IdentityProcess(self.folder / "identity")
        self._issuer = EmbeddedIssuer(self.folder)
        self._postgres = (
            EmbeddedPostgres(self.folder / "postgres", settings=None if lasts else _FORGETFUL)
            if not self._given.get(_DATABASE)
            else None
        )
        self._temporal = EmbeddedTemporal(self.folder / "temporal") if not self._given.get(_TEMPORAL) else None
        self._mail = MailProcess(self.folder / "mail") if not self._given.get(_SMTP) else None
        self._info: StackInfo | None = None
        self._cleanup = AsyncExitStack()
        self.environment: dict[str, str] = {}

    @property
    def info(self) -> StackInfo:
        """Return where everything is, as in `stack.json`."""
        if self._info is None:
            raise RuntimeError("the stack has not been started")
        return self._info

    @property
    def worker_pid(self) -> int:
        """Return the process id of the worker; it changes when the worker dies and is started again."""
        return self._worker.pid

    @property
    def servers(self) -> dict[str, ServerProcess]:
        """Return the stack's own servers by name; what the environment named is somebody else's."""
        servers: dict[str, ServerProcess | None] = {
            "postgres": self._postgres,
            "temporal": self._temporal,
            "mail": self._mail,
            "worker": self._worker if self._wants_worker else None,
            "api": self._api if self._wants_api else None,
            "codec": self._codec if self._wants_codec else None,
            "identity": self._identity if self._wants_identity else None,
            "web": self._web if self._wants_web else None,
        }
        return {name: server for name, server in servers.items() if server is not None}

    def process_environment(self) -> dict[str, str]:
        """Return all variables for a process that is to use this stack: the given ones and `environment`."""
        given = self._given
        if self._temporal is not None:  # keys and certificates for another server
            given = {name: value for name, value in given.items() if not name.startswith("TEMPORAL_")}
        own = {**_shared_machine_settings(), **_NEARBY} if self._postgres is not None else {}
        return {**own, **given, **self.environment}

    def api_environment(self) -> dict[str, str]:
        """Return all variables for an API: its own role in the database, and no secret that it does not use."""
        trusted = {_PROXIES: "127.0.0.1"} if self._wants_web and not self._given.get(_PROXIES) else {}
        return {**self._least("sb_api", _OF_THE_WORKER), **self._token_settings(), **trusted}

    def web_environment(self) -> dict[str, str]:
        """Return all variables for the pages: no database, no Temporal, and no secret but the sessions' keys."""
        secret = (*_OF_THE_WORKER, _DATABASE, "SB_TRANSFER_TICKET_KEYS", "SB_TRANSFER_PAYLOAD_KEYS")
        found = {name: value for name, value in self.process_environment().items() if name not in secret}
        ui = {_UI: self.info.ui_url} if self.info.ui_url and not self._given.get(_UI) else {}
        metadata = f"{self._identity.url}/.well-known/openid-configuration" if self._wants_identity else None
        return {
            **found,
            **self._token_settings(),
            **({"SB_TRANSFER_OIDC_METADATA_URL": metadata} if metadata else {}),
            **ui,
            "SB_TRANSFER_WEB_URL": self._given.get("SB_TRANSFER_WEB_URL") or self._web.url,
            "SB_TRANSFER_WEB_API_URL": self._api.url,
            **session_keys(self.folder, self._given),
        }

    def _identity_environment(self) -> dict[str, str]:
        found = self._least("sb_api", (*_OF_THE_WORKER, "SB_TRANSFER_TICKET_KEYS", "SB_TRANSFER_PAYLOAD_KEYS"))
        return {**found, "SB_TRANSFER_IDENTITY_FOLDER": str(self.folder), "SB_TRANSFER_IDENTITY_CLIENT": self._web.url}

    def codec_environment(self) -> dict[str, str]:
        """Return all variables for a codec server: its own role in the database, and the payload keys only."""
        least = self._least("sb_codec", (*_OF_THE_WORKER, "SB_TRANSFER_TICKET_KEYS"))
        return {**least, **self._token_settings(), **self._ui_settings()}

    def _least(self, role: str, without: Sequence[str]) -> dict[str, str]:
        found = {name: value for name, value in self.process_environment().items() if name not in without}
        return {**found, _DATABASE: self._postgres.dsn(role)} if self._postgres is not None else found

    async def __aenter__(self) -> Self:
        """Start everything.

        Raises:
            Misconfigured: Another stack runs in the folder, or a setting is wrong.
            Unavailable: A server that the environment names does not answer, or one of ours did not start.
        """
        try:
            await self._start()
        except BaseException:
            await self._cleanup.aclose()
            raise
        return self

    async def __aexit__(
        self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None
    ) -> None:
        """Stop everything that was started, the worker first, and leave no process."""
        await self._cleanup.aclose()

    async def _start(self) -> None:
        make_private_folder(self.folder)
        lock = FolderLock(self.folder)
        lock.acquire()
        self._cleanup.callback(lock.release)
        self._cleanup.callback(StackInfo.remove, self.folder)
        close_to_others(self.folder, but=("data",))  # PostgreSQL looks after its own
        StackInfo.remove(self.folder)  # a killed stack's addresses are nobody's
        programs = (self._worker, self._api, self._codec, self._identity, self._web)
        # A worker that outlived its servers would take work meant for the new one.
        await asyncio.gather(*(asyncio.to_thread(own.stop_leftover) for own in programs))
        # All of them, even when one fails: half-started servers must be known to be stopped.
        outcomes = await asyncio.gather(
            self._start_postgres(), self._start_temporal(), self._start_mail(), return_exceptions=True
        )
        for outcome in outcomes:
            if isinstance(outcome, BaseException):
                raise outcome
        self._collect()
        _, client = await asyncio.gather(self._migrate(), self._register())
        self.info.write(self.folder)
        if self._wants_worker:
            self._worker.configure(self.process_environment())
            self._cleanup.push_async_callback(self._worker.stop)
            await self._worker.start()
            await self._worker.ready(client)
            self._info = self.info.model_copy(update={"metrics_url": self._worker.metrics_url})
            self._started("worker", self._worker.pid)
        if self._wants_api:
            self._api.configure(self.api_environment())
            self._cleanup.push_async_callback(self._api.stop)
            await self._api.start()
            self._info = self.info.model_copy(
                update={"api_url": self._api.url, "api_metrics_url": self._api.metrics_url}
            )
            self._started("api", self._api.pid)
        if self._wants_codec:
            self._codec.configure(self.codec_environment())
            self._cleanup.push_async_callback(self._codec.stop)
            await self._codec.start()
            self._info = self.info.model_copy(update={"codec_url": self._codec.url})
            self._started("codec", self._codec.pid)
        if self._wants_web:
            await self._start_web()
        if self._restarts:
            self._supervise()

    async def _start_web(self) -> None:
        for program in (self._web, self._identity):  # each has to know where the other is
            program.choose_ports()
        if self._wants_identity:
            self._identity.configure(self._identity_environment())
            self._cleanup.push_async_callback(self._identity.stop)
            await self._identity.start()
            self._info = self.info.model_copy(update={"identity_url": self._identity.url})
            self._started("identity", self._identity.pid)
        self._web.configure(self.web_environment())
        self._cleanup.push_async_callback(self._web.stop)
        await self._web.start()
        self._info = self.info.model_copy(update={"web_url": self._web.url})
        self._started("web", self._web.pid)

    def _token_settings(self) -> dict[str, str]:
        """Return how tokens are checked: as the environment says, else with the stack's own issuer."""
        return {} if self._given.get("SB_TRANSFER_OIDC_ISSUER") else self._issuer.settings()

    def _ui_settings(self) -> dict[str, str]:
        """Return which pages may have histories decoded: as the environment says, else those of the stack's own UI."""
        if self._temporal is None or self._given.get(_ORIGINS):
            return {}
        ui = self._temporal.ui_url
        return {_ORIGINS: f"{ui},{ui.replace('127.0.0.1', 'localhost')}"}

    def _supervise(self) -> None:
        """From now on a server that dies is started again; at the end watching stops before anything else does."""
        for name, server in self.servers.items():
            supervision = Supervision(name, server, self._started)
            self._cleanup.push_async_callback(supervision.end)
            supervision.begin()

    async def _start_postgres(self) -> None:
        if self._postgres is not None:
            self._cleanup.push_async_callback(self._postgres.stop)
            await self._postgres.start()

    async def _start_temporal(self) -> None:
        if self._temporal is not None:
            if self._wants_codec:  # the UI has to know where, and starts first
                self._codec.choose_ports()
                self._temporal.codec_url = self._codec.url
            self._cleanup.push_async_callback(self._temporal.stop)
            await self._temporal.start()

    async def _start_mail(self) -> None:
        if self._mail is not None:
            self._cleanup.push_async_callback(self._mail.stop)
            await self._mail.start()
            return
        host, port = _host_and_port(self._given[_SMTP], _SMTP)
        if not await processes.accepts_connections(host, port, _CONNECT_TIMEOUT_SECONDS):
            raise Unavailable(f"The mail server does not answer at {host}:{port}. Start it, or correct {_SMTP}.")

    def _collect(self) -> None:
        """Put the addresses where others find them: in `environment` for programs, in `stack.json` for all."""
        pids = {"up": os.getpid()}
        for name, server in (("postgres", self._postgres), ("temporal", self._temporal), ("mail", self._mail)):
            if server is not None:
                pids[name] = server.pid
        self._info = StackInfo(
            database_url=self._postgres.dsn() if self._postgres else self._given[_DATABASE],
            app_database_url=self._postgres.dsn("sb_app") if self._postgres else None,
            temporal_address=self._temporal.address if self._temporal else self._given[_TEMPORAL],
            ui_url=self._temporal.ui_url if self._temporal else None,
            smtp_url=self._mail.url if self._mail else self._given[_SMTP],
            mail_dir=self._mail.mail_dir if self._mail else None,
            pids=pids,
        )
        self.environment = self._info.settings(key_rings(self.folder, self._given))

    async def _migrate(self) -> None:
        where = "{}:{}".format(*_host_and_port(self.info.database_url, _DATABASE))
        try:
            settings = settings_of(self.process_environment())
            await set_up(self.info.database_url, settings.cells, EncryptingCodec(settings.payload_keys).key_ids)
        except Unavailable as error:
            raise Unavailable(f"The database does not answer at {where}. Start it, or correct {_DATABASE}.") from error
        except (asyncpg.PostgresError, ValueError) as error:
            raise Misconfigured(f"The database at {where} cannot be used: {error}. Correct {_DATABASE}.") from error

    async def _register(self) -> Client:
        settings = settings_of(self.process_environment())
        client = await connect_temporal(
            environment=self.process_environment(),
            timeout_seconds=_CONNECT_TIMEOUT_SECONDS,
            data_converter=encrypting(settings.payload_keys),
        )
        await register_search_attributes(client, search_attributes.ALL)
        await ensure_nightly(client, task_queue=TRANSFERS, timezone=settings.timezone, heals=settings.reconcile_heals)
        return client

    def _started(self, name: str, pid: int) -> None:
        self._info = self.info.model_copy(update={"pids": {**self.info.pids, name: pid}})
        self._info.write(self.folder)


def _host_and_port(url: str, setting: str) -> tuple[str, int]:
    try:
        parts = urlsplit(url)
        return parts.hostname or "localhost", parts.port or _PORTS.get(parts.scheme, _POSTGRES_PORT)
    except ValueError:
        raise Misconfigured(f"{setting} is no address. Correct it.") from None  # the cause would quote it


async def up(
    folder: Path,
    announce: Callable[[Stack], None],
    *,
    worker: bool = True,
    api: bool = False,
    codec: bool = False,
    web: bool = False,
) -> None:
    """Run a stack until SIGTERM, Ctrl-C or the end of the terminal, then stop it in order; also during its start.

    Args:
        folder: The data folder.
        announce: Called once, when everything runs.
        worker: Whether to run the worker too.
        api: Whether to run the HTTP API too.
        codec: Whether to run the codec server too.
        web: Whether to serve the pages too.

    Raises:
        Misconfigured: Another stack runs in the folder, or a setting is wrong.
        Unavailable: A server that the environment names does not answer, or one of ours did not start.
    """
    loop = asyncio.get_running_loop()

    async def run() -> None:
        async with Stack(folder, worker=worker, api=api, codec=codec, web=web) as stack:
            announce(stack)
            await loop.create_future()  # until it is cancelled

    running = asyncio.create_task(run(), name="stack")
    started_to_stop = False

    def stop() -> None:
        nonlocal started_to_stop
        if not started_to_stop:  # a second Ctrl-C must not break off an orderly stop half-way
            started_to_stop = True
            running.cancel()

    for how in _STOP_SIGNALS:
        loop.add_signal_handler(how, stop)
    try:
        with suppress(asyncio.CancelledError):
            await running
    finally:
        for how in _STOP_SIGNALS:
            loop.remove_signal_handler(how)
