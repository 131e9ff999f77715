"""A real PostgreSQL: the one TEST_POSTGRES_URL names, else a container, else this machine's binaries, else a skip.

REQUIRE_POSTGRES=1 turns the skip into a failure, REQUIRE_CONTAINERS=1 a missing engine.
"""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import URL, make_url

from deploy.broker import containers_required, engine_answers

GIVEN = "TEST_POSTGRES_URL"
REQUIRE_POSTGRES = "REQUIRE_POSTGRES"
IMAGE = os.environ.get("POSTGRES_IMAGE", "postgres:15")
BINARIES = "/usr/lib/postgresql/*/bin"
START_SECONDS = 30
POLL_SECONDS = 0.1
ROOT = 0


class NoPostgres(Exception):
    """No server could be had."""


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[URL]:
    """Address of a server whose user may create databases."""
    try:
        with obtain_server() as url:
            yield url
    except NoPostgres as reason:
        if os.environ.get(REQUIRE_POSTGRES, "") not in {"", "0"}:
            pytest.fail(str(reason), pytrace=False)
        pytest.skip(str(reason))


@pytest.fixture
def postgres_url(postgres_server: URL) -> Iterator[str]:
    """Address of an empty database of the test's own, as SQLAlchemy wants it; dropped after the test."""
    name = f"test_{uuid.uuid4().hex[:10]}"
    with connected(postgres_server) as connection:
        connection.execute(f'CREATE DATABASE "{name}"'.encode())
    yield postgres_server.set(database=name).render_as_string(hide_password=False)
    with connected(postgres_server) as connection:
        connection.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)'.encode())


def connected(server: URL) -> psycopg.Connection:
    """Open a connection on which each statement stands by itself."""
    plain = server.set(drivername="postgresql").render_as_string(hide_password=False)
    return psycopg.connect(plain, autocommit=True)


@contextmanager
def obtain_server() -> Iterator[URL]:
    """Yield a server's address and end the server afterwards if it was started here. Raises NoPostgres."""
    if given := os.environ.get(GIVEN):
        yield make_url(given).set(drivername="postgresql+psycopg")
    elif engine_answers():
        yield from _container()
    elif containers_required():
        raise NoPostgres("REQUIRE_CONTAINERS is set and no container engine answers.")
    else:
        yield from _local()


def _container() -> Iterator[URL]:
    from docker.errors import APIError, ImageNotFound
    from testcontainers.community.postgres import PostgresContainer

    container = PostgresContainer(IMAGE, driver="psycopg")
    try:
        container.start()
    except (APIError, ImageNotFound) as reason:
        if containers_required():
            raise NoPostgres(f"{IMAGE} cannot be had from the container engine: {reason}") from reason
        yield from _local()
        return
    try:
        yield make_url(container.get_connection_url())
    finally:
        container.stop()


def _local() -> Iterator[URL]:
    binaries = find_binaries()
    with tempfile.TemporaryDirectory(prefix="irae-postgres-") as directory:
        data = Path(directory) / "data"
        _give_away(Path(directory))
        _run(binaries / "initdb", "-D", data, "--auth=trust", "--username=irae", "--encoding=UTF8", "--locale=C")
        port = _free_port()
        settings = {"listen_addresses": "127.0.0.1", "port": port, "unix_socket_directories": directory}
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        command = [*_as_postgres(), str(binaries / "postgres"), "-D", str(data), *options]
        with (Path(directory) / "log").open("w") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
        url = URL.create("postgresql+psycopg", "irae", host="127.0.0.1", port=port, database="postgres")
        try:
            _wait_until_ready(url, process, Path(directory) / "log")
            yield url
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(START_SECONDS)


def find_binaries() -> Path:
    """Return the directory of the newest installed server. Raises NoPostgres."""
    if on_path := shutil.which("initdb"):
        return Path(on_path).resolve().parent
    installed = sorted(Path("/").glob(BINARIES.lstrip("/")), key=lambda path: float(path.parent.name))
    if not installed:
        raise NoPostgres(
            "PostgreSQL is missing: start a container engine or install it with `apt-get install -y postgresql`."
        )
    return installed[-1]


def _as_postgres() -> list[str]:
    """PostgreSQL refuses to run as root; Debian's package brings a user for it."""
    if os.geteuid() != ROOT:
        return []
    return ["setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups"]


def _give_away(directory: Path) -> None:
    if os.geteuid() == ROOT:
        owner = pwd.getpwnam("postgres")
        os.chown(directory, owner.pw_uid, owner.pw_gid)


def _run(*command: object) -> None:
    line = [*_as_postgres(), *(str(part) for part in command)]
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    if done.returncode:
        raise NoPostgres(f"initdb failed: {done.stderr.strip()}")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_until_ready(url: URL, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            connected(url).close()
        except psycopg.OperationalError:
            if process.poll() is not None or time.monotonic() > deadline:
                raise NoPostgres(f"PostgreSQL did not start: {log.read_text('utf-8', 'replace')[-1000:]}") from None
            time.sleep(POLL_SECONDS)
        else:
            return
