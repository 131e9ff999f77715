#!/usr/bin/env python3
"""Runs Apache Kafka on this machine without a container engine: KRaft mode, one broker or three.

    local_kafka.py start [--brokers 3] [--port P] [--set key=value ...]   until `stop`, in the background
    local_kafka.py serve [the same]                                       until Ctrl-C or the end of its input
    local_kafka.py status | stop | wipe
    local_kafka.py kill | pause | resume | revive N                       one node: kill -9, freeze, thaw, start again

Every command takes `--dir`, where a cluster lives: node N keeps its data, log and pid file in DIR/node-N.
`--port 0` takes free ports; P gives node N the port P+N-1. Data survives `stop`, not `wipe`.

Law: only the standard library is used: it must run before anything is installed.
"""

import argparse
import os
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path

from kafka_cluster import Cluster
from kafka_node import HOST, Node
from prerequisites import HERE, CannotRun


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
            node.wait_until_gone()
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
