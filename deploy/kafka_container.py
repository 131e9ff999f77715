"""Apache Kafka's own image as a container of one node, at a port the engine chooses."""

import os
import re
from typing import Self

from docker.errors import APIError, ImageNotFound
from testcontainers.core.container import DockerContainer
from testcontainers.core.wait_strategies import LogMessageWaitStrategy

IMAGE = os.environ.get("KAFKA_IMAGE", "apache/kafka:4.3.1")
PORT = 9092
START_SECONDS = 90
START_SCRIPT = "/tmp/irae-start.sh"  # noqa: S108 - a path inside the container, whose only user is Kafka

SETTINGS = {
    "KAFKA_NODE_ID": "1",
    "KAFKA_PROCESS_ROLES": "broker,controller",
    "KAFKA_LISTENERS": f"CLIENTS://:{PORT},INSIDE://:19092,CONTROLLER://:9093",
    "KAFKA_LISTENER_SECURITY_PROTOCOL_MAP": "CLIENTS:PLAINTEXT,INSIDE:PLAINTEXT,CONTROLLER:PLAINTEXT",
    "KAFKA_INTER_BROKER_LISTENER_NAME": "INSIDE",
    "KAFKA_CONTROLLER_LISTENER_NAMES": "CONTROLLER",
    "KAFKA_CONTROLLER_QUORUM_VOTERS": "1@localhost:9093",
    "KAFKA_AUTO_CREATE_TOPICS_ENABLE": "false",
    "KAFKA_OFFSETS_TOPIC_NUM_PARTITIONS": "8",
    "KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR": "1",
    "KAFKA_TRANSACTION_STATE_LOG_REPLICATION_FACTOR": "1",
    "KAFKA_TRANSACTION_STATE_LOG_MIN_ISR": "1",
    "KAFKA_SHARE_COORDINATOR_STATE_TOPIC_REPLICATION_FACTOR": "1",
    "KAFKA_SHARE_COORDINATOR_STATE_TOPIC_MIN_ISR": "1",
    "KAFKA_GROUP_INITIAL_REBALANCE_DELAY_MS": "0",
    "KAFKA_LOG_CLEANER_DEDUPE_BUFFER_SIZE": str(20 * 1024 * 1024),
    "KAFKA_LOG_SEGMENT_DELETE_DELAY_MS": "1000",
    "KAFKA_HEAP_OPTS": "-Xms256m -Xmx512m",
}


class ImageMissing(Exception):
    """The engine has no such image and cannot fetch it."""


class KafkaContainer(DockerContainer):
    """Starts on a shell that waits for the start script: the address to advertise is known only once the port is."""

    def __init__(self) -> None:
        super().__init__(IMAGE)
        self.with_exposed_ports(PORT)
        for name, value in SETTINGS.items():
            self.with_env(name, value)
        wait = f"while [ ! -f {START_SCRIPT} ]; do sleep 0.1; done; exec bash {START_SCRIPT}"
        self.with_command(["sh", "-c", wait])

    def bootstrap(self) -> str:
        """Return host and port as clients outside the container reach it."""
        return f"{self.get_container_host_ip()}:{self.get_exposed_port(PORT)}"

    def start(self) -> Self:
        """Start and return once it serves. Raises ImageMissing; anything else is a fault."""
        try:
            super().start()
        except (ImageNotFound, APIError) as reason:
            raise ImageMissing(str(reason)) from reason
        advertised = f"CLIENTS://{self.bootstrap()},INSIDE://$(hostname):19092"
        script = f'export KAFKA_ADVERTISED_LISTENERS="{advertised}"\nexec /etc/kafka/docker/run\n'
        self.copy_into_container(script.encode(), START_SCRIPT)
        ready = LogMessageWaitStrategy(re.compile("Kafka Server started")).with_startup_timeout(START_SECONDS)
        ready.wait_until_ready(self)
        return self

    def freeze(self) -> None:
        """Make the broker silent without closing a connection."""
        self.get_wrapped_container().pause()

    def thaw(self) -> None:
        """Bring it back as it was."""
        self.get_wrapped_container().unpause()
