"""`python -m benchmarks.detector`: one real detector process replays recorded reports from a real broker into SQLite.

The baseline in the same run is the bare stream engine: the same app, the same topic, the same machine, an agent that
takes every record and does nothing. Beside the rate: what a report writes to the store at a patient's 1,000th draw
against the 10th.
"""

import argparse
import asyncio
import os
import random
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import httpx
import uvloop
from kafka import KafkaProducer
from prometheus_client import CollectorRegistry
from sqlalchemy import Engine

from benchmarks.report import RUNS, Figure, figure, write
from deploy.broker import obtain_broker
from schemas.admin import apply_topics
from schemas.clinical_event_v1 import AnyEvent
from schemas.topics import ALERTS, CLINICAL_EVENTS, RETESTS, TOPICS
from services.common.clock import utc_now
from services.common.inbox import Source
from services.common.kafka import KafkaSettings
from services.detector.__main__ import RuledMind
from services.detector.app.carrier import Record
from services.detector.app.desk import Desk
from services.detector.metrics import Metrics
from services.detector.rulebook import load_rulebook
from services.detector.store.opening import open_store
from services.detector.stream import FaustCarrier, build_app
from services.detector.translate.outgoing import Names
from tests.support.broker import delete_topics
from tests.support.processes import Process, free_port, python
from tests.support.recording import enrolments, recording, report

OURS = (CLINICAL_EVENTS, ALERTS, RETESTS, TOPICS[CLINICAL_EVENTS.dead])
FLOOR = "1,000 reports/s"
PATIENCE_SECONDS = 300.0
WARM = 400
"""Records before the clock starts: joining the group is not what is measured."""

TAKEN = "detector_events_taken_total"


def replay(kafka: KafkaSettings, total: int, folder: Path) -> float:
    """Return the reports/s of one detector process with an empty store."""
    port = free_port()
    env = dict(os.environ) | {
        "KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap_servers,
        "KAFKA_PARTITIONS": str(kafka.partitions),
        "TOPIC_PREFIX": kafka.topic_prefix,
        "DETECTOR_DATABASE_URL": f"sqlite:///{folder}/{uuid4().hex}.db",
        "DETECTOR_METRICS_PORT": str(port),
        "SITE_DIR": str(folder / "site"),
        "LOG_LEVEL": "warning",
    }
    process = Process(
        "detector", python("-m", "services.detector"), env=env, log=folder / "detector.log", monitoring_port=port
    )
    process.start()
    try:
        return _rate(process, total)
    finally:
        process.stop()


def _rate(process: Process, total: int) -> float:
    deadline = time.monotonic() + PATIENCE_SECONDS
    first: tuple[float, float] | None = None
    while time.monotonic() < deadline:
        with suppress(httpx.TransportError):
            taken, now = process.metrics().get(TAKEN, 0.0), time.monotonic()
            if first is None and taken >= WARM:
                first = (taken, now)
            if first is not None and taken >= total:
                return (taken - first[0]) / (now - first[1])
        time.sleep(0.25)
    raise TimeoutError(f"not everything was taken within {PATIENCE_SECONDS} s\n{process.tail()}")


def bare(kafka: KafkaSettings, total: int) -> float:
    """Return the reports/s of the stream engine alone, in a process of its own."""
    env = dict(os.environ) | {
        "KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap_servers,
        "KAFKA_PARTITIONS": str(kafka.partitions),
        "TOPIC_PREFIX": kafka.topic_prefix,
    }
    command = python("-m", "benchmarks.detector", "--bare", str(total))
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=True)
    return float(done.stdout.splitlines()[-1])


async def count_only(kafka: KafkaSettings, total: int) -> float:
    """Take every record and do nothing."""
    topic = kafka.topic(CLINICAL_EVENTS.name)
    carrier = FaustCarrier(build_app(kafka, f"bare-{uuid4().hex}", 10.0), topic)
    taken, first, everything = 0, 0.0, asyncio.Event()

    async def receive(_record: Record) -> None:
        nonlocal taken, first
        taken += 1
        if taken == WARM:
            first = time.monotonic()
        if taken == total:
            everything.set()

    carrier.collect(receive, lambda: None)
    await carrier.start()
    await asyncio.wait_for(everything.wait(), PATIENCE_SECONDS)
    rate = (total - WARM) / (time.monotonic() - first)
    await carrier.stop(10)
    return rate


def send(kafka: KafkaSettings, events: Iterator[AnyEvent]) -> int:
    """Publish the recording; return how many records it has."""
    producer = KafkaProducer(**kafka.for_kafka_python(), linger_ms=20, batch_size=262_144)
    topic = kafka.topic(CLINICAL_EVENTS.name)
    sent = [producer.send(topic, key=event.patient_ref.encode(), value=event.encode()) for event in events]
    for record in sent:
        record.get(timeout=60)
    producer.close()
    return len(sent)


def written_per_report(draws: Sequence[int], folder: Path) -> dict[int, int]:
    """Return the bytes that the report of each of these draws of one patient adds to the write-ahead log."""
    file = folder / "flat.db"
    engine = open_store(f"sqlite:///{file}")
    names = Names.under("")
    desk = Desk(
        engine, RuledMind(load_rulebook(folder / "site")), names, Metrics(CollectorRegistry()), utc_now, timedelta(35)
    )
    source, until, dice = Source(names.events, 0), utc_now(), random.Random(1)
    at, last, sizes = desk.positions([0], {source: 0}), max(draws), {}
    start = until - timedelta(hours=last)
    events: list[AnyEvent] = [*enrolments(1, until, last)]
    events += [report(0, draw, start + timedelta(hours=draw), rises=False, dice=dice) for draw in range(1, last + 1)]
    for offset, event in enumerate(events):
        if offset in draws:
            _checkpoint(engine)
        record = Record(source, offset, event.patient_ref.encode(), event.encode(), lambda: None)
        at = desk.apply({source: (at[source], [record])})
        if offset in draws:
            sizes[offset] = Path(f"{file}-wal").stat().st_size
    engine.dispose()
    return sizes


def _checkpoint(engine: Engine) -> None:
    connection = engine.raw_connection()
    connection.cursor().execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()


def flatness(folder: Path) -> Figure:
    """Return what a report writes late in a long course, beside what it writes early."""
    early, late = range(8, 18), range(991, 1001)
    sizes = written_per_report([*early, *late], folder)
    return figure(
        "bytes written to the store per report at draw 1,000",
        [float(sizes[draw]) for draw in late],
        "bytes",
        "one patient, 20 results a report, one report a transaction, write-ahead log of SQLite",
        baseline="at draw 10",
        baseline_runs=[float(sizes[draw]) for draw in early],
        floor="1.2 x",
    )


def rates(kafka: KafkaSettings, patients: int, draws: int, runs: int, folder: Path) -> Figure:
    """Return the rate of replay beside the bare engine's, each run of both in turn."""
    apply_topics(kafka, OURS)
    try:
        total = send(kafka, recording(patients, draws, utc_now(), rising_every=50))
        engine, detector = [], []
        for _ in range(runs):
            engine.append(bare(kafka, total))
            detector.append(replay(kafka, total, folder))
    finally:
        delete_topics(kafka.bootstrap_servers, kafka.topic_prefix)
    return figure(
        "replay of recorded reports, one worker",
        detector,
        "reports/s",
        f"{total} events of {patients} patients, 20 results a report, SQLite, broker on the same machine, "
        f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores",
        baseline="the bare stream engine, an agent doing nothing",
        baseline_runs=engine,
        floor=FLOOR,
    )


def main() -> None:
    """Measure, print, write build/bench/detector.json."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.detector", description=__doc__)
    parser.add_argument("--patients", type=int, default=300)
    parser.add_argument("--draws", type=int, default=20)
    parser.add_argument("--runs", type=int, default=RUNS)
    parser.add_argument("--bare", type=int, metavar="TOTAL", help="what the baseline's own process is started with")
    chosen = parser.parse_args()
    if chosen.bare:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            print(runner.run(count_only(KafkaSettings(), chosen.bare)))
        return
    with tempfile.TemporaryDirectory() as directory, obtain_broker() as broker:
        folder = Path(directory)
        kafka = KafkaSettings(bootstrap_servers=broker.bootstrap, TOPIC_PREFIX=f"bench-{uuid4().hex[:8]}.")
        figures = [rates(kafka, chosen.patients, chosen.draws, chosen.runs, folder), flatness(folder)]
    write("detector", figures, at=utc_now())


if __name__ == "__main__":
    main()
