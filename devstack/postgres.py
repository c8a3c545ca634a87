"""PostgreSQL for demo, `up` and tests: a real server from a wheel, on loopback, with its own passwords."""

import asyncio
import hashlib
import json
import os
import secrets
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import quote

import asyncpg
import psutil

from adapters.postgres.guards import SUPERUSER_SQL, is_guarded
from adapters.private_files import make_private_folder, write_private
from devstack import processes
from devstack.binaries import Postgres, embedded_postgres, unprivileged
from devstack.server_process import ServerProcess
from domain.errors import Unavailable

_DATABASE = "sb"
_ROLES = {"sb_owner": "createdb createrole", "sb_app": "", "sb_api": "", "sb_codec": ""}
_CONNECT_SECONDS = 5.0
_BUILTIN = ("--locale-provider=builtin", "--builtin-locale=C.UTF-8")
# The PostgreSQL since which there is such a provider, a role is granted with several options, and the right to set a
# parameter can be granted.
_BUILTIN_LOCALES, _GRANT_OPTIONS, _PARAMETER_RIGHTS = 17, 16, 15


class EmbeddedPostgres(ServerProcess):
    """One PostgreSQL server in one folder, which keeps its data, its port and its passwords between starts.

    SIGINT is PostgreSQL's fast shutdown, SIGQUIT the immediate one.
    """

    stop_signals = (signal.SIGINT, signal.SIGQUIT)
    # Helpers that a killed server left end by themselves. While the system takes their memory back they are in no list
    # of processes any more, and a new server still finds them there. Or its number has just been given to a program,
    # and is taken for a server's: `stop_leftover` sees that before the next try.
    passing_troubles = ("pre-existing shared memory block", "lock file")
    # After a crash everything that was written since the last checkpoint is brought to disk first, file by file: half a
    # minute for two hundred environments. A server that has ended is not waited for.
    start_timeout_seconds = 600.0

    def __init__(
        self, folder: Path, *, settings: Mapping[str, str] | None = None, programs: Postgres | None = None
    ) -> None:
        """Prepare a server.

        Args:
            folder: Made when it is missing. Holds `data/`, `log`, and in mode 0600 `secrets.json` and `ports.json`.
            settings: Server settings beyond the defaults, e.g. `{"fsync": "off"}`.
            programs: Another PostgreSQL than the embedded stack's own.
        """
        super().__init__("PostgreSQL server", folder, "port")
        self._programs = programs or embedded_postgres()
        self._data = self.folder / "data"
        self._secrets_file = self.folder / "secrets.json"
        self._cluster_name = f"sb-transfer-{hashlib.sha256(str(self.folder).encode()).hexdigest()[:16]}"
        self._settings = dict(settings or {})

    @property
    def port(self) -> int:
        """Return the port of the running server."""
        return self.ports["port"]

    def dsn(self, role: str = "sb_owner", database: str = _DATABASE) -> str:
        """Return the address for `postgres` or one of our roles. It holds the role's password."""
        password = quote(self._secrets()[role], safe="")
        return f"postgresql://{role}:{password}@127.0.0.1:{self.port}/{database}"

    async def start(self) -> None:
        """Start the server, making its data folder and roles the first time; see `ServerProcess.start`."""
        make_private_folder(self.folder)
        if not (self._data / "PG_VERSION").exists():
            await asyncio.to_thread(self._initialise)
        await super().start()
        await self._make_roles()

    def _secrets(self) -> dict[str, str]:
        found: dict[str, str] = json.loads(self._secrets_file.read_text())
        return found

    def _initialise(self) -> None:
        for abandoned in self.folder.glob("initdb-*"):
            shutil.rmtree(abandoned)
        made = {role: secrets.token_urlsafe(24) for role in ("postgres", *_ROLES)}
        write_private(self._secrets_file, json.dumps(made))
        with tempfile.NamedTemporaryFile("w", dir=self.folder) as password_file:
            password_file.write(made["postgres"])
            password_file.flush()
            # A folder next to the final one, renamed when it is whole: a killed initdb leaves nothing to trip over.
            fresh = Path(tempfile.mkdtemp(dir=self.folder, prefix="initdb-"))
            _change_owner(fresh, unprivileged().owner)
            done = subprocess.run(
                [
                    *unprivileged().prefix,
                    *self._programs.prefix,
                    str(self._programs.bin / "initdb"),
                    f"--pgdata={fresh}",
                    "--username=postgres",
                    f"--pwfile={password_file.name}",
                    "--auth=scram-sha-256",
                    "--encoding=UTF8",
                    *(_BUILTIN if self._programs.major >= _BUILTIN_LOCALES else ()),
                    "--locale=C",
                    "--no-sync",
                    "--no-instructions",
                ],
                check=False,
                capture_output=True,
                text=True,
            )
            if done.returncode != 0:
                raise Unavailable(f"PostgreSQL could not make its data folder: {done.stderr.strip()}")
            fresh.rename(self._data)

    def stop_leftover(self) -> None:
        """End what a killed `up` left on this folder; two servers on one folder must never be.

        A server's helpers may outlive it, busy with a long statement, and a new server refuses to start beside them.
        """
        processes.end(self._running_here(), signal.SIGINT, signal.SIGQUIT)
        pid_file = self._data / "postmaster.pid"
        try:
            if psutil.pid_exists(int(pid_file.read_text().splitlines()[0])):
                # The number has been given to another program since. PostgreSQL would take that for its server.
                pid_file.unlink()
        except (FileNotFoundError, IndexError, ValueError):
            return

    def _running_here(self) -> list[psutil.Process]:
        found = []
        for process in psutil.process_iter():
            try:
                # Every process of a server shows its cluster name; other traits of theirs only their own user can see.
                if process.name() == "postgres" and self._cluster_name in " ".join(process.cmdline()):
                    found.append(process)
            except (psutil.Error, OSError):
                continue  # it has just ended, or is somebody else's
        return found

    def command(self) -> Sequence[str]:
        """Return the server's command, with its settings; its data folder is made the user's that it will run as."""
        _change_owner(self._data, unprivileged().owner)
        options = {
            "listen_addresses": "127.0.0.1",
            "port": str(self.port),
            "unix_socket_directories": "",
            "cluster_name": self._cluster_name,
            "max_connections": "200",
            "shared_buffers": "1GB",  # taken only as far as there is something to keep
            # A clone writes its log faster than the usual settings let it: the buffers are full at once, every megabyte
            # is forced to disk by itself, and the log's files are made anew each time instead of being used again.
            "max_wal_size": "4GB",
            "min_wal_size": "1GB",
            "wal_buffers": "64MB",
            "wal_writer_flush_after": "64MB",
            "max_prepared_transactions": "16",
            **self._settings,
        }
        flags = [word for name, value in options.items() for word in ("-c", f"{name}={value}")]
        program = [*unprivileged().prefix, *self._programs.prefix, str(self._programs.bin / "postgres")]
        return [*program, "-D", str(self._data), *flags]

    async def is_ready(self) -> bool:
        """Tell whether it lets its superuser in; whoever else listens on its port does not know the password."""
        try:
            connection = await asyncpg.connect(self.dsn("postgres", "postgres"), timeout=_CONNECT_SECONDS)
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, TimeoutError):
            return False
        await connection.close()
        return True

    async def _make_roles(self) -> None:
        known = self._secrets()
        connection = await asyncpg.connect(self.dsn("postgres", "postgres"), timeout=10)
        try:
            if await connection.fetchval("select 1 from pg_database where datname = $1", _DATABASE):
                await self._guard_definitions()
                return
            # Each part may be there already: an earlier start may have been killed between any two of them.
            for role, options in _ROLES.items():
                if not await connection.fetchval("select 1 from pg_roles where rolname = $1", role):
                    statement: str = await connection.fetchval(
                        "select format('create role %I login ' || $3 || ' password %L', $1::text, $2::text)",
                        role,
                        known[role],
                        options,
                    )
                    await connection.execute(statement)
            # The service may look at the world as the application does; it never inherits the application's rights.
            options = (
                "admin true, inherit false, set true" if self._programs.major >= _GRANT_OPTIONS else "admin option"
            )
            await connection.execute(f"grant sb_app to sb_owner with {options}")
            if self._programs.major >= _PARAMETER_RIGHTS:
                await connection.execute("grant set on parameter session_replication_role to sb_owner")
            await connection.execute("grant pg_read_all_stats to sb_owner")
            await connection.execute(f"create database {_DATABASE} owner sb_owner")
            await self._guard_definitions()
        finally:
            await connection.close()

    async def _guard_definitions(self) -> None:
        connection = await asyncpg.connect(self.dsn("postgres"), timeout=10)
        try:
            if not await is_guarded(connection):
                await connection.execute(SUPERUSER_SQL.read_text(encoding="utf-8"))
                # As PostgreSQL does itself since 15.
                await connection.execute("revoke create on schema public from public")
        finally:
            await connection.close()


def _change_owner(folder: Path, owner: int) -> None:
    """Make a folder somebody's with all that is in it: each start may find another way of not being root."""
    if folder.stat().st_uid != owner:
        for entry in (folder, *folder.rglob("*")):
            os.chown(entry, owner, owner, follow_symlinks=False)
