"""PostgreSQL for demo, `up` and tests: a real server from a wheel, on loopback, with its own passwords."""

import asyncio
import json
import os
import secrets
import signal
import socket
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote

import asyncpg
import psutil

from devstack.binaries import postgres_bin, unprivileged_prefix
from domain.errors import Unavailable

_DATABASE = "sb"
_START_TIMEOUT_SECONDS = 30.0
_POLL_SECONDS = 0.05


def free_port() -> int:
    """Return a TCP port that was free on loopback a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


class EmbeddedPostgres:
    """One PostgreSQL server in one folder, which keeps its data, its port and its passwords between starts."""

    def __init__(self, folder: Path, *, settings: Mapping[str, str] | None = None) -> None:
        """Prepare a server.

        Args:
            folder: Made when it is missing. Holds `data/`, `log` and `secrets.json` (mode 0600).
            settings: Server settings beyond the defaults, e.g. `{"fsync": "off"}`.
        """
        self.folder = folder.absolute()
        self._data = self.folder / "data"
        self._secrets_file = self.folder / "secrets.json"
        self._settings = dict(settings or {})
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """Return the process id of the running server."""
        if self._process is None:
            raise RuntimeError("the server has not been started")
        return self._process.pid

    @property
    def port(self) -> int:
        return int(self._secrets()["port"])

    def dsn(self, role: str = "sb_owner", database: str = _DATABASE) -> str:
        """Return the address for a role: `postgres`, `sb_owner` or `sb_app`. It holds the role's password."""
        password = quote(self._secrets()[role])
        return f"postgresql://{role}:{password}@127.0.0.1:{self.port}/{database}"

    async def start(self) -> None:
        """Start the server, making its data folder and roles the first time; a leftover server is stopped first.

        Raises:
            Unavailable: It did not start; the message names its log.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        if not (self._data / "PG_VERSION").exists():
            await asyncio.to_thread(self._initialise)
        await asyncio.to_thread(self._stop_leftover)
        self._launch()
        await self._until_ready()
        await self._make_roles()

    async def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """Stop the server: SIGINT is PostgreSQL's fast shutdown, SIGQUIT the immediate one, SIGKILL a crash."""
        if self._process is None or self._process.poll() is not None:
            return
        self._process.send_signal(how)
        await asyncio.to_thread(self._process.wait)
        self._process = None

    def _secrets(self) -> dict[str, str]:
        found: dict[str, str] = json.loads(self._secrets_file.read_text())
        return found

    def _initialise(self) -> None:
        made = {role: secrets.token_urlsafe(24) for role in ("postgres", "sb_owner", "sb_app")}
        made["port"] = str(free_port())
        descriptor = os.open(self._secrets_file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            json.dump(made, file)
        with tempfile.NamedTemporaryFile("w", dir=self.folder) as password_file:
            password_file.write(made["postgres"])
            password_file.flush()
            # A folder next to the final one, renamed when it is whole: a killed initdb leaves nothing to trip over.
            fresh = Path(tempfile.mkdtemp(dir=self.folder, prefix="initdb-"))
            subprocess.run(
                [
                    *unprivileged_prefix(),
                    str(postgres_bin() / "initdb"),
                    f"--pgdata={fresh}",
                    "--username=postgres",
                    f"--pwfile={password_file.name}",
                    "--auth=scram-sha-256",
                    "--encoding=UTF8",
                    "--locale-provider=builtin",
                    "--builtin-locale=C.UTF-8",
                    "--locale=C",
                    "--no-sync",
                    "--no-instructions",
                ],
                check=True,
                capture_output=True,
            )
            fresh.rename(self._data)

    def _stop_leftover(self) -> None:
        """End a server that a killed `up` left on this folder; two servers on one folder must never be."""
        pid_file = self._data / "postmaster.pid"
        try:
            process = psutil.Process(int(pid_file.read_text().splitlines()[0]))
            if str(self._data) not in process.cmdline():
                return  # the number has been given to another program since
            process.send_signal(signal.SIGINT)
            process.wait(timeout=_START_TIMEOUT_SECONDS)
        except (FileNotFoundError, IndexError, ValueError, psutil.NoSuchProcess):
            return

    def _launch(self) -> None:
        options = {
            "listen_addresses": "127.0.0.1",
            "port": str(self.port),
            "unix_socket_directories": "",
            "max_connections": "200",
            "shared_buffers": "256MB",
            "max_wal_size": "4GB",
            "max_prepared_transactions": "16",
            **self._settings,
        }
        flags = [word for name, value in options.items() for word in ("-c", f"{name}={value}")]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [*unprivileged_prefix(), str(postgres_bin() / "postgres"), "-D", str(self._data), *flags],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C in the terminal is for us; we stop the servers in order
            )

    async def _until_ready(self) -> None:
        deadline = asyncio.get_running_loop().time() + _START_TIMEOUT_SECONDS
        while True:
            try:
                connection = await asyncpg.connect(self.dsn("postgres", "postgres"), timeout=5)
            except (OSError, asyncpg.CannotConnectNowError, TimeoutError) as error:
                crashed = self._process is None or self._process.poll() is not None
                if crashed or asyncio.get_running_loop().time() > deadline:
                    raise Unavailable(f"PostgreSQL did not start. Its log says why: {self.folder / 'log'}") from error
                await asyncio.sleep(_POLL_SECONDS)
            else:
                await connection.close()
                return

    async def _make_roles(self) -> None:
        known = self._secrets()
        connection = await asyncpg.connect(self.dsn("postgres", "postgres"), timeout=10)
        try:
            if await connection.fetchval("select 1 from pg_database where datname = $1", _DATABASE):
                return
            for role, options in (("sb_owner", "createdb createrole"), ("sb_app", "")):
                statement: str = await connection.fetchval(
                    "select format('create role %I login ' || $3 || ' password %L', $1::text, $2::text)",
                    role,
                    known[role],
                    options,
                )
                await connection.execute(statement)
            # The service may look at the world as the application does; it never inherits the application's rights.
            await connection.execute("grant sb_app to sb_owner with admin true, inherit false, set true")
            await connection.execute("grant set on parameter session_replication_role to sb_owner")
            await connection.execute(f"create database {_DATABASE} owner sb_owner")
        finally:
            await connection.close()
