"""Creates and verifies the topics: `python -m schemas.topics --apply|--check`.

Law: partitions are never changed and nothing is ever deleted; what cannot be mended safely is a sentence for a person.
"""

import argparse
import sys
import time
from collections.abc import Iterable, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TextIO

from kafka.admin import ConfigResource, ConfigResourceType, KafkaAdminClient, NewTopic
from kafka.errors import KafkaError, TopicAlreadyExistsError

from schemas.topics import TOPICS, Topic
from services.common.errors import EXIT_MISCONFIGURED, Misconfigured
from services.common.kafka import KafkaSettings

if TYPE_CHECKING:
    from collections.abc import Iterator

FULL_REPLICATION = 3
ONE_COPY = "warning: one copy only; a lost disk loses messages. Production needs three brokers."
NOT_THERE = "does not exist"
BOOTSTRAP_MS = 8_000
SETTLE_SECONDS = 10.0
SETTLE_PAUSE_SECONDS = 0.2


@dataclass(frozen=True, slots=True)
class Wanted:
    """How topics must look on this cluster."""

    partitions: int
    replication: int

    @property
    def in_sync(self) -> int:
        """Replicas that must have a record before it counts as written."""
        return max(1, self.replication - 1)


@contextmanager
def connected(settings: KafkaSettings) -> "Iterator[KafkaAdminClient]":
    """Open an admin client. Raises KafkaError while no broker answers."""
    admin = KafkaAdminClient(
        **settings.for_kafka_python(), request_timeout_ms=15_000, bootstrap_timeout_ms=BOOTSTRAP_MS
    )
    try:
        yield admin
    finally:
        admin.close()


def wanted(admin: KafkaAdminClient, settings: KafkaSettings) -> Wanted:
    """Return the settings' wish, or what this cluster allows: three copies where there are three brokers, else one."""
    brokers = len(admin.describe_cluster()["brokers"])
    replication = settings.replication or (FULL_REPLICATION if brokers >= FULL_REPLICATION else 1)
    return Wanted(settings.partitions, replication)


def describe(admin: KafkaAdminClient, names: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Return what Kafka says of those of the topics that exist, by name."""
    asked = list(names)
    found = admin.describe_topics(asked) if asked else []
    return {_name(entry): entry for entry in found if not entry.get("error_code")}


def _name(entry: Mapping[str, Any]) -> str:
    return str(entry.get("name") or entry.get("topic"))


def configs(admin: KafkaAdminClient, names: Iterable[str]) -> dict[str, dict[str, str]]:
    """Return the settings in force of each topic."""
    resources = [ConfigResource(ConfigResourceType.TOPIC, name) for name in names]
    if not resources:
        return {}
    return _settings_of(admin.describe_configs(resources))


def _settings_of(answer: Mapping[Any, Mapping[str, Mapping[str, Any]]]) -> dict[str, dict[str, str]]:
    """kafka-python 3.0 answers {type: {name: {key: {value: ..}}}}."""
    topics: Mapping[str, Mapping[str, Any]] = next(iter(answer.values()), {})
    return {
        name: {key: str(entry["value"] if isinstance(entry, dict) else entry) for key, entry in found.items()}
        for name, found in topics.items()
    }


def faults(
    settings: KafkaSettings, admin: KafkaAdminClient, topics: Iterable[Topic] = tuple(TOPICS.values())
) -> list[str]:
    """Return one sentence per fault of the topics; none when services may run."""
    by_name = {settings.topic(topic.name): topic for topic in topics}
    found = describe(admin, by_name)
    wish = wanted(admin, settings)
    in_force = configs(admin, found)
    sentences = [
        f"topic {name} {NOT_THERE}: run `python -m schemas.topics --apply`" for name in by_name if name not in found
    ]
    for name, entry in sorted(found.items()):
        sentences += _shape_faults(name, entry, wish)
        sentences += [
            f"topic {name}: {key} is {in_force[name].get(key)}, must be {value}: "
            "run `python -m schemas.topics --apply` or ask the broker's administrator"
            for key, value in by_name[name].config(in_sync=wish.in_sync).items()
            if in_force[name].get(key) != value
        ]
    return sentences


def _shape_faults(name: str, entry: Mapping[str, Any], wish: Wanted) -> list[str]:
    partitions = entry["partitions"]
    copies = {len(p.get("replica_nodes") or p.get("replicas") or ()) for p in partitions}
    sentences = []
    if len(partitions) != wish.partitions:
        sentences.append(
            f"topic {name} has {len(partitions)} partitions, KAFKA_PARTITIONS is {wish.partitions}: "
            "the number is fixed for ever, set KAFKA_PARTITIONS to it"
        )
    if copies and min(copies) < wish.replication:
        sentences.append(f"topic {name} has {min(copies)} copies, {wish.replication} are wanted")
    return sentences


def check_topics(settings: KafkaSettings, topics: Iterable[Topic] = tuple(TOPICS.values())) -> list[str]:
    """Return one sentence per fault. Raises KafkaError (or OSError) while no broker answers."""
    with connected(settings) as admin:
        return faults(settings, admin, topics)


def apply_topics(settings: KafkaSettings, topics: Iterable[Topic] = tuple(TOPICS.values())) -> list[str]:
    """Create what is missing and set what may be set. Returns one sentence per thing done; idempotent."""
    by_name = {settings.topic(topic.name): topic for topic in topics}
    done: list[str] = []
    with connected(settings) as admin:
        wish = wanted(admin, settings)
        found = describe(admin, by_name)
        for name in by_name.keys() - found.keys():
            _create(admin, name, by_name[name], wish)
            done.append(f"created {name}: {wish.partitions} partitions, {wish.replication} copies")
        in_force = configs(admin, found)
        for name in sorted(found):
            wrong = {
                key: value
                for key, value in by_name[name].config(in_sync=wish.in_sync).items()
                if in_force[name].get(key) != value
            }
            if wrong:
                admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, name, configs=wrong)])
                done.append(f"set {', '.join(sorted(wrong))} of {name}")
    return sorted(done)


def _create(admin: KafkaAdminClient, name: str, topic: Topic, wish: Wanted) -> None:
    new = NewTopic(name, wish.partitions, wish.replication, topic_configs=topic.config(in_sync=wish.in_sync))
    try:
        admin.create_topics([new])
    except TopicAlreadyExistsError:
        return  # another process was faster; its settings are checked like any others


def main(arguments: list[str] | None = None) -> int:
    """Command line of `python -m schemas.topics`."""
    parser = argparse.ArgumentParser(prog="python -m schemas.topics", description="Creates or verifies the topics.")
    action = parser.add_mutually_exclusive_group()
    action.add_argument("--apply", action="store_true", help="create what is missing, set what may be set")
    action.add_argument("--check", action="store_true", help="verify only (the default)")
    chosen = parser.parse_args(arguments)
    try:
        settings = KafkaSettings()
        if chosen.apply:
            _say(apply_topics(settings), sys.stdout)
        sentences = _settled(settings) if chosen.apply else check_topics(settings)
        replication = _replication(settings)
    except (ValueError, Misconfigured, KafkaError, OSError) as problem:
        _say([f"topics: {problem}"], sys.stderr)
        return EXIT_MISCONFIGURED
    _say([*sentences, *([ONE_COPY] if replication == 1 else [])], sys.stderr)
    return EXIT_MISCONFIGURED if sentences else 0


def _say(lines: Iterable[str], stream: TextIO) -> None:
    stream.writelines(f"{line}\n" for line in lines)


def _settled(settings: KafkaSettings) -> list[str]:
    """Return the faults that are still there once the brokers had time to tell each other of new topics."""
    deadline = time.monotonic() + SETTLE_SECONDS
    sentences = check_topics(settings)
    while any(NOT_THERE in line for line in sentences) and time.monotonic() < deadline:
        time.sleep(SETTLE_PAUSE_SECONDS)
        sentences = check_topics(settings)
    return sentences


def _replication(settings: KafkaSettings) -> int:
    with connected(settings) as admin:
        return wanted(admin, settings).replication
