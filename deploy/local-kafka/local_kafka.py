#!/usr/bin/env python3
"""Runs Apache Kafka on this machine without a container engine: KRaft mode, one broker or three.

    local_kafka.py start [--brokers 3] [--port P] [--set key=value ...]   in the background, until `stop`
    local_kafka.py serve [the same]                                       in the foreground, until Ctrl-C or end of input
    local_kafka.py status | stop | wipe
    local_kafka.py kill | pause | resume | revive N                       one node: kill -9, freeze, thaw, start again

Every command takes `--dir`, where a cluster lives: node N keeps its data, log and pid file in DIR/node-N.
`--port 0` takes free ports; P gives node N the port P+N-1. Data survives `stop`, not `wipe`.

Law: it signals only processes whose command line names its own configuration file, so a recycled pid is never hit.
Only the standard library is used: it must run before anything is installed.
"""

import argparse
import base64
import fcntl
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
LIBS = HERE / "libs"
POM = HERE / "pom.xml"
HOST = "127.0.0.1"
OLDEST_JAVA = 17
HEAP = "512m"
READY = "Kafka Server started"
READY_SECONDS = 90
STOP_SECONDS = 30
POLL_SECONDS = 0.1
CONTROLLER_OFFSET = 100
LOG_TAIL_CHARACTERS = 1500


class CannotRun(Exception):
    """Something the person at the terminal can put right; the message says how."""


def java() -> str:
    """Return the path of a Java that Kafka 4 accepts. Raises CannotRun."""
    home = os.environ.get("JAVA_HOME")
    found = shutil.which("java", path=f"{home}/bin") if home else shutil.which("java")
    if found is None:
        raise CannotRun(
            "Java is missing: install it with `apt-get install -y openjdk-17-jre-headless` (or `brew install openjdk@17`)."
        )
    banner = subprocess.run([found, "-version"], capture_output=True, text=True, check=False).stderr
    version = re.search(r'version "(\d+)', banner)
    if version is None or int(version[1]) < OLDEST_JAVA:
        raise CannotRun(
            f"Kafka needs Java {OLDEST_JAVA} or newer and {found} is {version[1] if version else 'none'}: "
            "install it with `apt-get install -y openjdk-17-jre-headless` (or `brew install openjdk@17`)."
        )
    return found


def fetch_jars() -> None:
    """Download Kafka once per text of pom.xml; two launchers at a time wait for each other. Raises CannotRun."""
    stamp = LIBS / "pom.stamp"
    with locked(HERE / "libs.lock"):
        if stamp.exists() and stamp.read_text("utf-8") == POM.read_text("utf-8"):
            return
        maven = shutil.which("mvn")
        if maven is None:
            raise CannotRun("Maven is missing: install it with `apt-get install -y maven` (or `brew install maven`).")
        sys.stderr.write("local-kafka: downloading Apache Kafka, once ...\n")
        shutil.rmtree(LIBS, ignore_errors=True)
        command = [maven, "-B", "-q", "-f", str(POM), "dependency:copy-dependencies", f"-DoutputDirectory={LIBS}"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise CannotRun(f"Maven could not download Kafka: {(done.stdout + done.stderr)[-LOG_TAIL_CHARACTERS:]}")
        stamp.write_text(POM.read_text("utf-8"), "utf-8")


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold a file lock; it falls with the process, so nothing is left behind after a kill."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


@dataclass(frozen=True)
class Node:
    """One broker and controller in one process."""

    number: int
    port: int
    controller_port: int
    dir: Path

    @property
    def properties(self) -> Path:
        """The node's configuration file, which also marks its process as ours."""
        return self.dir / "server.properties"

    @property
    def log(self) -> Path:
        """What the node said since its last start."""
        return self.dir / "server.log"

    def command(self, main: str, *arguments: str, heap: str = HEAP) -> list[str]:
        """Return the command line of one of Kafka's programs."""
        logging = f"-Dlog4j2.configurationFile={HERE / 'log4j2.properties'}"
        return [java(), f"-Xmx{heap}", "-XX:+UseSerialGC", logging, "-cp", f"{LIBS}/*", main, *arguments]

    def pid(self) -> int | None:
        """Return the pid of our running process, if there is one."""
        try:
            pid = int((self.dir / "pid").read_text("ascii"))
        except (FileNotFoundError, ValueError):
            return None
        return pid if str(self.properties) in command_line(pid) else None

    def signal(self, number: signal.Signals) -> None:
        """Signal our process; nothing happens where it is not running."""
        if (pid := self.pid()) is not None:
            os.kill(pid, number)

    def format(self, cluster_id: str) -> None:
        """Prepare an empty data directory; a used one is left as it is. Raises CannotRun."""
        storage = ["format", "--ignore-formatted", "--cluster-id", cluster_id, "--config", str(self.properties)]
        command = self.command("kafka.tools.StorageTool", *storage, heap="128m")
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise CannotRun(f"formatting {self.dir} failed: {(done.stdout + done.stderr)[-LOG_TAIL_CHARACTERS:]}")

    def launch(self) -> None:
        """Start the process unless it runs. Raises CannotRun when a port is taken."""
        if self.pid() is not None:
            return
        for port in (self.port, self.controller_port):
            if not is_free(port):
                raise CannotRun(f"Port {port} is taken: choose another with --port, or --port 0 for any free one.")
        with self.log.open("w") as log:
            process = subprocess.Popen(
                self.command("kafka.Kafka", str(self.properties)),
                stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip
        (self.dir / "pid").write_text(str(process.pid), "ascii")

    def wait_until_ready(self) -> None:
        """Return once the node serves. Raises CannotRun when it dies or takes too long."""
        deadline = time.monotonic() + READY_SECONDS
        while READY not in self.log.read_text("utf-8", errors="replace"):
            if self.pid() is None:
                raise CannotRun(
                    f"Node {self.number} died; {self.log} ends: {self.log.read_text()[-LOG_TAIL_CHARACTERS:]}"
                )
            if time.monotonic() > deadline:
                raise CannotRun(f"Node {self.number} was not ready after {READY_SECONDS} s: see {self.log}.")
            time.sleep(POLL_SECONDS)

    def wait_until_gone(self) -> bool:
        """Return whether the process ended in time."""
        deadline = time.monotonic() + STOP_SECONDS
        while self.pid() is not None:
            if time.monotonic() > deadline:
                return False
            reap()
            time.sleep(POLL_SECONDS)
        (self.dir / "pid").unlink(missing_ok=True)
        return True


def command_line(pid: int) -> str:
    """Return a living process's command line, empty for none and for one that only waits to be collected."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
    except (FileNotFoundError, ProcessLookupError):
        if Path("/proc/self").exists():
            return ""
    shown = subprocess.run(["ps", "-p", str(pid), "-o", "stat=,command="], capture_output=True, text=True, check=False)
    return "" if shown.stdout.startswith("Z") else shown.stdout


def reap() -> None:
    """Collect an ended child, where the node is our own child."""
    try:
        os.waitpid(-1, os.WNOHANG)
    except ChildProcessError:
        return


def is_free(port: int) -> bool:
    """Say whether a listener may be opened on the port."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def free_ports(count: int) -> list[int]:
    """Return ports that were free together a moment ago."""
    probes = [socket.socket() for _ in range(count)]
    try:
        for probe in probes:
            probe.bind((HOST, 0))
        return [int(probe.getsockname()[1]) for probe in probes]
    finally:
        for probe in probes:
            probe.close()


def chosen_ports(brokers: int, port: int) -> list[tuple[int, int]]:
    """Return (broker, controller) ports of each node."""
    if port:
        return [(port + n, port + n + CONTROLLER_OFFSET) for n in range(brokers)]
    free = free_ports(2 * brokers)
    return list(zip(free[:brokers], free[brokers:], strict=True))


class Cluster:
    """One broker or three; its shape is decided once and read back from `cluster.json`."""

    def __init__(self, directory: Path) -> None:
        self.dir = directory.resolve()
        self.state = self.dir / "cluster.json"
        shape = json.loads(self.state.read_text("utf-8")) if self.state.exists() else {"ports": []}
        self.id: str = shape.get("id", "")
        self.settings: dict[str, str] = shape.get("settings", {})
        self.nodes = [Node(n, *ports, self.dir / f"node-{n}") for n, ports in enumerate(shape["ports"], start=1)]

    @classmethod
    def create(cls, directory: Path, *, brokers: int, port: int, settings: dict[str, str]) -> "Cluster":
        """Return the cluster of the directory, made with this shape unless it exists."""
        cluster = cls(directory)
        if cluster.nodes:
            return cluster
        shape = {
            "id": base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("="),
            "ports": chosen_ports(brokers, port),
            "settings": settings,
        }
        cluster.dir.mkdir(parents=True, exist_ok=True)
        cluster.state.write_text(json.dumps(shape), "utf-8")
        return cls(directory)

    @property
    def bootstrap(self) -> str:
        """Host and port of every node, as clients want it."""
        return ",".join(f"{HOST}:{node.port}" for node in self.nodes)

    def properties(self, node: Node) -> dict[str, object]:
        """Return a node's settings: durable where that is free of charge, small and quick where production is not."""
        copies = len(self.nodes)
        in_sync = max(1, copies - 1)
        return {
            "process.roles": "broker,controller",
            "node.id": node.number,
            "controller.quorum.voters": ",".join(f"{n.number}@{HOST}:{n.controller_port}" for n in self.nodes),
            "controller.listener.names": "CONTROLLER",
            "listeners": f"PLAINTEXT://{HOST}:{node.port},CONTROLLER://{HOST}:{node.controller_port}",
            "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
            "log.dirs": node.dir / "data",
            "auto.create.topics.enable": "false",
            "unclean.leader.election.enable": "false",
            "default.replication.factor": copies,
            "min.insync.replicas": in_sync,
            # Fifty partitions each by default: slow to make and to load on a laptop.
            "offsets.topic.num.partitions": 8,
            "offsets.topic.replication.factor": copies,
            "transaction.state.log.num.partitions": 8,
            "transaction.state.log.replication.factor": copies,
            "transaction.state.log.min.isr": in_sync,
            "share.coordinator.state.topic.replication.factor": copies,
            "share.coordinator.state.topic.min.isr": in_sync,
            # Production keeps 3 s, so that a fleet that starts together joins together.
            "group.initial.rebalance.delay.ms": 0,
            # Tests make and delete many small topics: little memory for each, and gone at once.
            "log.cleaner.dedupe.buffer.size": 20 * 1024 * 1024,
            "log.index.size.max.bytes": 1024 * 1024,
            "log.segment.delete.delay.ms": 1000,
            **self.settings,
        }

    def start(self) -> None:
        """Start every node and return once all serve. Raises CannotRun; then none is left running."""
        java()
        fetch_jars()
        with locked(self.dir / "lock"):
            try:
                for node in self.nodes:
                    self._prepare(node)
                for node in self.nodes:
                    node.launch()
                for node in self.nodes:
                    node.wait_until_ready()
            except CannotRun:
                self.stop()
                raise

    def _prepare(self, node: Node) -> None:
        if node.pid() is not None:
            return
        node.dir.mkdir(parents=True, exist_ok=True)
        text = "".join(f"{key}={value}\n" for key, value in self.properties(node).items())
        node.properties.write_text(text, "utf-8")
        node.format(self.id)

    def stop(self) -> None:
        """Stop all nodes together: one alone in its quorum would wait for the others before it goes."""
        for node in self.nodes:
            node.signal(signal.SIGCONT)
            node.signal(signal.SIGTERM)
        for node in self.nodes:
            if not node.wait_until_gone():
                node.signal(signal.SIGKILL)
                node.wait_until_gone()

    def wipe(self) -> None:
        """Stop, and delete the directory if it is one that this launcher made."""
        self.stop()
        if self.state.exists():
            shutil.rmtree(self.dir)

    def node(self, number: int) -> Node:
        """Return a node by its number. Raises CannotRun."""
        if not 1 <= number <= len(self.nodes):
            raise CannotRun(f"There is no node {number} in {self.dir}.")
        return self.nodes[number - 1]


def start(cluster: Cluster) -> int:
    """Start in the background and say where."""
    cluster.start()
    print(cluster.bootstrap)
    return 0


def serve(cluster: Cluster) -> int:
    """Start, say where, and stop on a signal or when whoever holds our input is gone."""
    over = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: over.set())
    try:
        cluster.start()
        print(cluster.bootstrap, flush=True)
        threading.Thread(target=_wait_for_end_of_input, args=(over,), daemon=True).start()
        over.wait()
    finally:
        cluster.stop()
    return 0


def _wait_for_end_of_input(over: threading.Event) -> None:
    while os.read(sys.stdin.fileno(), 1024):
        pass
    over.set()


def status(cluster: Cluster) -> int:
    """Print a line per node; 0 only when all run."""
    pids = [node.pid() for node in cluster.nodes]
    for node, pid in zip(cluster.nodes, pids, strict=True):
        print(f"node {node.number}: " + (f"pid {pid}, {HOST}:{node.port}" if pid else "down"))
    return 0 if pids and all(pids) else 1


def on_node(command: str, node: Node) -> int:
    """Do one thing to one node."""
    match command:
        case "kill":
            node.signal(signal.SIGKILL)
        case "pause":
            node.signal(signal.SIGSTOP)
        case "resume":
            node.signal(signal.SIGCONT)
        case "revive":
            node.launch()
            node.wait_until_ready()
    return 0


def parser() -> argparse.ArgumentParser:
    """Return the command line of the module's docstring."""
    described = argparse.ArgumentParser(
        prog="local_kafka.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = described.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name in ("start", "serve", "status", "stop", "wipe", "kill", "pause", "resume", "revive"):
        command = commands.add_parser(name)
        command.add_argument("--dir", type=Path, default=HERE / "data")
        if name in {"start", "serve"}:
            command.add_argument("--brokers", type=int, choices=[1, 3], default=1)
            command.add_argument("--port", type=int, default=9092)
            command.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", dest="settings")
        if name in {"kill", "pause", "resume", "revive"}:
            command.add_argument("number", type=int, metavar="N")
    return described


def run(arguments: argparse.Namespace) -> int:
    """Do what the command line asks. Raises CannotRun."""
    simple: dict[str, Callable[[Cluster], int]] = {"start": start, "serve": serve, "status": status}
    if arguments.command in {"start", "serve"}:
        settings = dict(pair.split("=", 1) for pair in arguments.settings)
        cluster = Cluster.create(arguments.dir, brokers=arguments.brokers, port=arguments.port, settings=settings)
        return simple[arguments.command](cluster)
    cluster = Cluster(arguments.dir)
    match arguments.command:
        case "status":
            return status(cluster)
        case "stop":
            cluster.stop()
        case "wipe":
            cluster.wipe()
        case _:
            return on_node(arguments.command, cluster.node(arguments.number))
    return 0


def main() -> int:
    """Run; a fault is one sentence on the error output and exit status 1."""
    try:
        return run(parser().parse_args())
    except CannotRun as fault:
        sys.stderr.write(f"local-kafka: {fault}\n")
        return 1


if __name__ == "__main__":
    sys.exit(main())
