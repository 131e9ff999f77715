"""`python -m benchmarks.ingest`: one real ingest process on a real broker, ORU messages of 20 results over MLLP.

Twenty connections, one message in flight on each, answered only when raw message and event are acknowledged. The
baseline in the same run is what Kafka's client alone can do: twenty threads of `send().get()` with records of the same
sizes and no reading of messages. Then the answer's latency at 200 messages/s, timed from when each was due.
"""

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path

import psutil
import uvloop
from kafka import KafkaProducer

from benchmarks.report import RUNS, Figure, figure, quantile, write
from deploy.broker import obtain_broker
from services.common.clock import utc_now
from services.common.kafka import KafkaSettings
from services.ingest.adapters.kafka_clients import producer_settings
from tests.support.broker import delete_topics
from tests.support.messages import Subject, a_panel, frame, oru
from tests.support.processes import Process, free_port, python
from tests.support.site import SitePlan, write_site
from tests.support.topics import TopicReader

HOST = "127.0.0.1"
CONNECTIONS = 20
PATIENTS = 300
PER_SECOND = 200
PARTITIONS = 12
WARM_UP = 2_000
END = b"\x1c\r"


@dataclass(frozen=True, slots=True)
class Installation:
    """A running ingest and where it is reached."""

    process: Process
    bootstrap: str
    prefix: str
    port: int


@contextmanager
def installation() -> Iterator[Installation]:
    """Start a broker (or use the given one) and ingest, as it is shipped."""
    with tempfile.TemporaryDirectory(prefix="irae-bench-") as name, obtain_broker() as broker:
        folder, prefix = Path(name), f"bench-{uuid.uuid4().hex[:8]}."
        port, monitoring = free_port(), free_port()
        env = dict(os.environ) | {
            "KAFKA_BOOTSTRAP_SERVERS": broker.bootstrap,
            "KAFKA_PARTITIONS": str(PARTITIONS),
            "TOPIC_PREFIX": prefix,
            "SITE_DIR": str(write_site(folder / "site", SitePlan(smtp_port=1))),
            "SITE_KEY_FILE": str(folder / "site.key"),
            "INGEST_MLLP_PORT": str(port),
            "INGEST_HTTP_PORT": "0",
            "INGEST_METRICS_PORT": str(monitoring),
            "LOG_FORMAT": "json",
        }
        subprocess.run(python("-m", "schemas.topics", "--apply"), env=env, check=True, capture_output=True)
        log = folder / "ingest.log"
        process = Process("ingest", python("-m", "services.ingest"), env=env, log=log, monitoring_port=monitoring)
        process.start()
        try:
            process.wait_ready(60)
            yield Installation(process, broker.bootstrap, prefix, port)
        finally:
            process.stop()
            delete_topics(broker.bootstrap, prefix)


def messages(count: int, run: str) -> list[bytes]:
    """Return frames, all different: patients in turn, each draw with its own order and time."""
    now = utc_now()
    panel = a_panel(FERRITIN="212")
    return [
        frame(
            oru(
                Subject(f"{n % PATIENTS:06d}"),
                panel,
                collected_at=now - timedelta(hours=1, seconds=n),
                control_id=f"{run}-{n}",
                order=f"{run}{n}",
            )
        )
        for n in range(count)
    ]


class Sender(asyncio.Protocol):
    """One connection that sends its share, one message in flight; `due` paces it (monotonic times)."""

    def __init__(
        self, frames: Sequence[bytes], due: Sequence[float] | None, done: "asyncio.Future[list[float]]"
    ) -> None:
        self._frames, self._due, self._done = frames, due, done
        self._next = 0
        self._received = b""
        self._waits: list[float] = []
        self._started = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = transport
        self._send()

    def _send(self) -> None:
        if self._next == len(self._frames):
            self._transport.close()
            self._done.set_result(self._waits)
            return
        now = time.monotonic()
        if self._due is not None and now < self._due[self._next]:
            asyncio.get_running_loop().call_at(self._due[self._next], self._send)
            return
        self._started = now if self._due is None else self._due[self._next]
        self._transport.write(self._frames[self._next])  # type: ignore[attr-defined]
        self._next += 1

    def data_received(self, data: bytes) -> None:
        """Note the wait, send the next."""
        self._received += data
        if not self._received.endswith(END):
            return
        if b"MSA|AA|" not in self._received:
            self._done.set_exception(RuntimeError(f"answered {self._received!r}"))
            return
        self._received = b""
        self._waits.append(1000 * (time.monotonic() - self._started))
        self._send()

    def connection_lost(self, exc: Exception | None) -> None:
        """An early end is a failure."""
        if not self._done.done():
            self._done.set_exception(RuntimeError(f"connection ended: {exc}"))


async def play(port: int, frames: Sequence[bytes], per_second: float | None) -> list[float]:
    """Send all frames over the connections; return the wait for each answer in milliseconds."""
    loop = asyncio.get_running_loop()
    begin = time.monotonic() + 0.1
    results = []
    for share in range(CONNECTIONS):
        numbers = range(share, len(frames), CONNECTIONS)
        due = None if per_second is None else [begin + n / per_second for n in numbers]
        done: asyncio.Future[list[float]] = loop.create_future()
        await loop.create_connection(partial(Sender, [frames[n] for n in numbers], due, done), HOST, port)
        results.append(done)
    return [wait for share in await asyncio.gather(*results) for wait in share]


def timed(port: int, frames: Sequence[bytes], per_second: float | None = None) -> tuple[float, list[float]]:
    """Return seconds taken and waits."""
    started = time.monotonic()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        waits = runner.run(play(port, frames, per_second))
    return time.monotonic() - started, waits


def kafka_alone(at: Installation, sizes: tuple[int, int], count: int) -> float:
    """Return pairs of records per second that twenty threads of `send().get()` get acknowledged."""
    settings = KafkaSettings(bootstrap_servers=at.bootstrap)
    producer = KafkaProducer(**producer_settings(settings))
    topics = (f"{at.prefix}deliveries.v1", f"{at.prefix}alerts.v1")
    bodies = [os.urandom(size) for size in sizes]

    def work(share: int) -> None:
        for n in range(share, count, CONNECTIONS):
            key = b"%d" % (n % PATIENTS)
            pair = [producer.send(topic, value=body, key=key) for topic, body in zip(topics, bodies, strict=True)]
            for future in pair:
                future.get(timeout=25)

    threads = [threading.Thread(target=work, args=(share,)) for share in range(CONNECTIONS)]
    started = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seconds = time.monotonic() - started
    producer.close(timeout=5)
    return count / seconds


def processor_seconds(at: Installation) -> float:
    """Return what ingest has used of the processors: unlike a rate it hardly depends on what else runs."""
    times = psutil.Process(at.process.pid).cpu_times()
    return float(times.user + times.system)


def sizes_of(at: Installation) -> tuple[int, int]:
    """Return the mean size of raw records and of events."""
    means = []
    for name in ("raw-messages.v1", "clinical-events.v1"):
        reader = TopicReader(at.bootstrap, f"{at.prefix}{name}")
        for _ in range(20):
            if reader.poll():
                break
        means.append(sum(len(json.dumps(record.value)) for record in reader.records) // len(reader.records))
        reader.close()
    return means[0], means[1]


def measure(runs: int, count: int, seconds: int) -> list[Figure]:
    """Run everything `runs` times on one installation."""
    rates, alone, p50, p99, busy99, used = [], [], [], [], [], []
    with installation() as at:
        timed(at.port, messages(WARM_UP, "warm"))
        sizes = sizes_of(at)
        for run in range(runs):
            before = processor_seconds(at)
            took, waits = timed(at.port, messages(count, f"r{run}"))
            used.append(1e6 * (processor_seconds(at) - before) / count)
            rates.append(count / took)
            busy99.append(quantile(waits, 0.99))
            alone.append(kafka_alone(at, sizes, count))
            _, calm = timed(at.port, messages(PER_SECOND * seconds, f"c{run}"), PER_SECOND)
            p50.append(quantile(calm, 0.5))
            p99.append(quantile(calm, 0.99))
    size = f"ORU of 20 results ({sizes[0]} + {sizes[1]} bytes in Kafka)"
    of = (
        f"{size}, {CONNECTIONS} connections, broker and sender on the same cores, load average {os.getloadavg()[0]:.0f}"
    )
    kafka = "kafka-python alone, 20 threads of send().get()"
    return [
        figure("ingest: messages answered when durable", rates, "messages/s", f"{of}, {count} messages a run",
               baseline=kafka, baseline_runs=alone, floor=">= 1,000 (aim 3,000)"),
        figure("ingest: processor time of the service per message", used, "us", of),
        figure("ingest: p99 of the answer at full load", busy99, "ms", of),
        figure(f"ingest: p50 of the answer at {PER_SECOND}/s", p50, "ms", of),
        figure(f"ingest: p99 of the answer at {PER_SECOND}/s", p99, "ms", of, floor="<= 50"),
    ]  # fmt: skip


def main() -> int:
    """Measure and write `build/bench/ingest.json`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=RUNS)
    parser.add_argument("--messages", type=int, default=10_000)
    parser.add_argument("--seconds", type=int, default=10)
    chosen = parser.parse_args()
    write("ingest", measure(chosen.runs, chosen.messages, chosen.seconds), at=utc_now())
    return 0


if __name__ == "__main__":
    sys.exit(main())
