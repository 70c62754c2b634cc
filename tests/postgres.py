"""A temporary PostgreSQL server, which runs as an ordinary user because initdb refuses root."""

import getpass
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, LiteralString

import psutil
import psycopg
from psycopg import sql

from tests.ports import free_ports

# Test data need not survive a power cut.
UNSAFE = ("fsync=off", "synchronous_commit=off", "full_page_writes=off")
OPTIONS = ("max_connections=50",)
START_TIMEOUT_S = 60


def binaries() -> Path | None:
    """Return the folder of the newest installed PostgreSQL's programs; None if none is installed."""
    programs = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    if programs:
        return programs[-1].parent
    on_path = shutil.which("initdb")
    return Path(on_path).resolve().parent if on_path else None


@dataclass(frozen=True)
class Server:
    """A server. Its folder has its data, socket and log, and belongs to `user`."""

    folder: Path
    port: int
    user: str
    options: tuple[str, ...] = ()
    name: str = "postgres"

    @classmethod
    def start(cls, *, durable: bool = False) -> "Server":
        """Make and start a server on a free port of 127.0.0.1, and wait until it accepts connections.

        Args:
            durable: Whether committed data survive a crash, as with the default settings.
        """
        # The folder's name is short, because a socket's path has at most 107 characters.
        folder = Path(tempfile.mkdtemp(prefix="pg", dir="/tmp"))
        server = cls(folder, free_ports(1)[0], _ordinary_user(), OPTIONS if durable else (*OPTIONS, *UNSAFE))
        shutil.chown(server.folder, server.user)
        try:
            server._run("initdb", "-D", server._data, "-U", "tet", "-A", "trust", "-E", "UTF8", "--no-sync")
            server.begin()
        except BaseException:
            shutil.rmtree(server.folder, ignore_errors=True)
            raise
        return server

    def begin(self) -> None:
        """Start the server, also after it was killed, and wait until it accepts connections."""
        settings = [*self.options, "listen_addresses=127.0.0.1", f"port={self.port}"]
        options = " ".join(f"-c {setting}" for setting in (*settings, f"unix_socket_directories={self.folder}"))
        wait = ["-w", "-t", str(START_TIMEOUT_S)]
        self._run("pg_ctl", "start", "-D", self._data, "-l", str(self.folder / "log"), "-o", options, *wait)

    def leader(self) -> psutil.Process | None:
        """Return the first process of the server; None if it does not run."""
        try:
            process = psutil.Process(int((self.folder / "data" / "postmaster.pid").read_text().split()[0]))
            return process if self._data in process.cmdline() else None
        except (FileNotFoundError, IndexError, psutil.NoSuchProcess):
            return None

    def stop(self) -> None:
        """Stop the server and remove its folder."""
        self._run("pg_ctl", "stop", "-D", self._data, "-m", "immediate", "-w")
        shutil.rmtree(self.folder)

    def create(self, name: str) -> str:
        """Make an empty database and return its URL."""
        self._execute("CREATE DATABASE {}", name)
        return f"postgresql+psycopg://tet@127.0.0.1:{self.port}/{name}"

    @contextmanager
    def database(self, name: str) -> Iterator[str]:
        """Make an empty database, yield its URL, and drop it at the end of the context."""
        url = self.create(name)
        try:
            yield url
        finally:
            self._execute("DROP DATABASE {} WITH (FORCE)", name)

    def _execute(self, statement: LiteralString, name: str) -> None:
        with psycopg.connect(self._dsn("postgres"), autocommit=True) as connection:
            connection.execute(sql.SQL(statement).format(sql.Identifier(name)))

    @property
    def _data(self) -> str:
        return str(self.folder / "data")

    def _dsn(self, database: str) -> str:
        return f"host=127.0.0.1 port={self.port} user=tet dbname={database}"

    def _run(self, program: str, *arguments: str) -> None:
        folder = binaries()
        assert folder is not None
        account = pwd.getpwnam(self.user)
        change: dict[str, Any] = {}
        if os.geteuid() == 0:
            change = {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}
        # The output goes to a file: the server inherits it, so a pipe would stay open while the server runs.
        with tempfile.TemporaryFile() as output:
            status = subprocess.run(
                [folder / program, *arguments], cwd=self.folder, stdout=output, stderr=output, check=False, **change
            ).returncode
            output.seek(0)
            assert status == 0, f"{program} failed: {output.read().decode(errors='replace')}"


def _ordinary_user() -> str:
    if os.geteuid() != 0:
        return getpass.getuser()
    names = {account.pw_name for account in pwd.getpwall()}
    return next(name for name in ("postgres", "nobody") if name in names)
