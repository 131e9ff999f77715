"""Kafka from its jars: the launcher as people and other tests use it."""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import KafkaAdminClient, NewTopic

from deploy.broker import LAUNCHER, engine_answers

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    if not (shutil.which("java") and shutil.which("mvn")) and engine_answers():
        pytest.skip("this machine takes its broker from containers: no Java and Maven")
    yield tmp_path / "kafka"
    launch("wipe", folder=tmp_path / "kafka")


def launch(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(LAUNCHER), *arguments, "--dir", str(folder)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_a_killed_node_comes_back_with_its_records(folder: Path) -> None:
    started = launch("start", "--port", "0", folder=folder)
    assert started.returncode == 0, started.stderr
    bootstrap = started.stdout.strip()
    write(bootstrap, b"before the kill")
    launch("kill", "1", folder=folder)
    assert launch("status", folder=folder).stdout == "node 1: down\n"
    revived = launch("revive", "1", folder=folder)
    assert revived.returncode == 0, revived.stderr
    assert read(bootstrap) == b"before the kill"


def test_a_cluster_keeps_its_shape_and_leaves_nothing_when_wiped(folder: Path) -> None:
    assert launch("start", "--port", "0", folder=folder).returncode == 0
    assert "holds a cluster of 1" in launch("start", "--brokers", "3", "--port", "0", folder=folder).stderr
    assert launch("status", folder=folder).returncode == 0
    assert launch("wipe", folder=folder).returncode == 0
    assert not folder.exists()


def test_a_server_ends_with_the_input_of_whoever_started_it(folder: Path) -> None:
    command = [sys.executable, str(LAUNCHER), "serve", "--port", "0", "--dir", str(folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        assert server.stdout.readline().startswith("127.0.0.1:")
        server.communicate(timeout=60)
        assert server.returncode == 0
    assert launch("status", folder=folder).stdout == "node 1: down\n"


def write(bootstrap: str, value: bytes) -> None:
    admin = KafkaAdminClient(bootstrap_servers=bootstrap)
    admin.create_topics([NewTopic("kept", 1, 1)])
    admin.close()
    producer = KafkaProducer(bootstrap_servers=bootstrap, acks="all")
    producer.send("kept", value).get(30)
    producer.close()


def read(bootstrap: str) -> bytes:
    consumer = KafkaConsumer(bootstrap_servers=bootstrap, auto_offset_reset="earliest", enable_auto_commit=False)
    try:
        consumer.assign([TopicPartition("kept", 0)])
        return bytes(next(consumer).value)
    finally:
        consumer.close()
