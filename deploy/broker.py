"""Where a broker comes from, for `make run` and for the tests alike.

The one that KAFKA_BOOTSTRAP_SERVERS names; else a container, where an engine answers; else Kafka run from its jars.
Law: a broker that is started here is empty, belongs to whoever asked, and is gone when they are.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

LAUNCHER = Path(__file__).parent / "local-kafka" / "local_kafka.py"
GIVEN = "KAFKA_BOOTSTRAP_SERVERS"
REQUIRE_CONTAINERS = "REQUIRE_CONTAINERS"
STOP_SECONDS = 60

Kind = Literal["given", "container", "local"]
Say = Callable[[str], None]


class NoBroker(Exception):
    """No broker could be had; the message says what was tried and what to install."""


def _cannot() -> None:
    raise NoBroker(f"The broker that {GIVEN} names is not ours to stop.")


@dataclass(frozen=True, slots=True)
class Broker:
    """A running broker. `freeze` makes it silent without closing a connection, `thaw` brings it back as it was."""

    bootstrap: str
    kind: Kind
    freeze: Callable[[], None] = field(default=_cannot, repr=False)
    thaw: Callable[[], None] = field(default=_cannot, repr=False)


def say_on_terminal(sentence: str) -> None:
    """Tell the person who waits."""
    sys.stderr.write(f"{sentence}\n")


@contextmanager
def obtain_broker(*, say: Say = say_on_terminal) -> Iterator[Broker]:
    """Yield a broker and end it afterwards if it was started here. Raises NoBroker."""
    if given := os.environ.get(GIVEN):
        yield Broker(given, "given")
    elif engine_answers():
        yield from _container_else_local(say)
    elif containers_required():
        raise NoBroker(f"{REQUIRE_CONTAINERS} is set and no container engine answers.")
    else:
        yield from _local(say)


def containers_required() -> bool:
    """Say whether a missing container engine is a fault rather than a reason to do without."""
    return os.environ.get(REQUIRE_CONTAINERS, "") not in {"", "0"}


def engine_answers() -> bool:
    """Say whether a container engine can be reached from here."""
    from docker.errors import DockerException  # noqa: PLC0415 - needed by developers only
    from testcontainers.core.docker_client import DockerClient  # noqa: PLC0415

    try:
        client = DockerClient().client
    except DockerException:
        return False
    try:
        return bool(client.ping())
    except (DockerException, OSError):
        return False
    finally:
        client.close()


def _container_else_local(say: Say) -> Iterator[Broker]:
    """Do without the container where the engine cannot fetch its image, unless one is required."""
    from deploy.kafka_container import IMAGE, ImageMissing, KafkaContainer  # noqa: PLC0415 - needed by developers only

    say(f"broker: starting {IMAGE} in a container")
    container = KafkaContainer()
    try:
        container.start()
    except ImageMissing as reason:
        if containers_required():
            raise NoBroker(f"{REQUIRE_CONTAINERS} is set and {IMAGE} cannot be had: {reason}") from reason
        say(f"broker: {IMAGE} cannot be had from the container engine, so Kafka runs without it")
        yield from _local(say)
        return
    try:
        yield Broker(container.bootstrap(), "container", container.freeze, container.thaw)
    finally:
        container.stop()


def _local(say: Say) -> Iterator[Broker]:
    say("broker: starting Apache Kafka on this machine (the first time it is downloaded)")
    with tempfile.TemporaryDirectory(prefix="irae-kafka-", ignore_cleanup_errors=True) as directory:
        # A session of its own: Ctrl-C must reach the services first, and Kafka only through the end of its input.
        said = Path(directory) / "launcher.log"
        with said.open("w") as log:
            process = subprocess.Popen(
                [sys.executable, str(LAUNCHER), "serve", "--port", "0", "--dir", f"{directory}/cluster"],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True, start_new_session=True,
            )  # fmt: skip
        try:
            yield Broker(_announced(process, said), "local", _node(directory, "pause"), _node(directory, "resume"))
        finally:
            process.communicate(timeout=STOP_SECONDS)


def _announced(process: subprocess.Popen[str], said: Path) -> str:
    assert process.stdout is not None
    if bootstrap := process.stdout.readline().strip():
        return bootstrap
    reason = said.read_text("utf-8").strip().removeprefix("local-kafka: ")
    raise NoBroker(f"{reason} (A container engine, or a broker that {GIVEN} names, would do as well.)")


def _node(directory: str, command: str) -> Callable[[], None]:
    line = [sys.executable, str(LAUNCHER), command, "1", "--dir", f"{directory}/cluster"]
    return lambda: _run(line)


def _run(line: list[str]) -> None:
    subprocess.run(line, check=True)
