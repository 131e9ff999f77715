"""One broker or three: their shape, settings, start and stop."""

import base64
import json
import shutil
import signal
import socket
import uuid
from pathlib import Path

from kafka_node import HOST, Node
from prerequisites import CannotRun, fetch_jars, java, locked

CONTROLLER_OFFSET = 100


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
        self.nodes = [
            Node(n, port, controller, self.dir / f"node-{n}") for n, (port, controller) in enumerate(shape["ports"], 1)
        ]

    @classmethod
    def create(cls, directory: Path, *, brokers: int, port: int, settings: dict[str, str]) -> "Cluster":
        """Return the cluster of the directory, made with this shape unless it exists. Raises CannotRun."""
        java()
        fetch_jars()
        cluster = cls(directory)
        if cluster.nodes:
            if len(cluster.nodes) != brokers:
                raise CannotRun(
                    f"{cluster.dir} holds a cluster of {len(cluster.nodes)}: wipe it or take another --dir."
                )
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
