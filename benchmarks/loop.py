"""`make bench-loop`: frame to alert and frame to mail at 50 messages/s, through three real services on a real broker.

Five rounds of one installation. In each, every fifth message holds a finding of a patient who had none: its way is
timed from the first byte sent to the alert's arrival at a reader of `alerts.v1` and to the mail server's having taken
page and mail. Then the two rates (`benchmarks.ingest`, `benchmarks.detector`) are measured by their own programs.
"""

import argparse
import os
import re
import smtplib
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from email.message import EmailMessage
from pathlib import Path

from kafka import KafkaConsumer, KafkaProducer, TopicPartition

from benchmarks.report import RUNS, Figure, figure, quantile, write
from deploy.broker import obtain_broker
from services.common.clock import utc_now
from tests.support.hospital import Draw, Hospital, Patient, spoken_number
from tests.support.mailbox import Mailbox
from tests.support.messages import a_panel
from tests.support.site import LI, OFFICE, Member, SitePlan, write_site
from tests.support.system import System

PER_SECOND = 50
CONNECTIONS = 5
EVERY_FIFTH = 5
ARRIVES_WITHIN_SECONDS = 30.0
PROBES = 100
PARTITIONS = 12
HAND = Member("bench", "en", ("immunology", "rheumatology", "oncology", "hepatology", "on-call"))
NUMBER = re.compile(r"[0-9A-F]{4}-[0-9A-F]{4}")
"""An alert's number, as page and mail carry it in their subjects."""

RATES = ("benchmarks.ingest", "benchmarks.detector")


@dataclass(slots=True)
class Round:
    """What one round saw: when each patient's finding was sent, answered, alerted, paged and mailed (monotonic)."""

    sent: dict[str, float] = field(default_factory=dict)
    answered: dict[str, float] = field(default_factory=dict)
    alerted: dict[str, float] = field(default_factory=dict)
    mailed: dict[str, float] = field(default_factory=dict)
    paged: dict[str, float] = field(default_factory=dict)

    def ways(self, end: dict[str, float]) -> list[float]:
        """Return milliseconds from the first byte sent to `end`, one per finding."""
        return [1000 * (end[ref] - self.sent[ref]) for ref in self.sent if ref in end]


class Watch(threading.Thread):
    """Reads alerts as they come and notes when each patient's first one was there."""

    def __init__(self, hospital: Hospital) -> None:
        super().__init__(name="alerts", daemon=True)
        self._reader = hospital.system.topic("alerts.v1")
        self._ended = threading.Event()
        self.first: dict[str, float] = {}
        self.numbers: dict[str, str] = {}

    def run(self) -> None:
        """Poll until stopped."""
        while not self._ended.is_set():
            for record in self._reader.poll():
                self.first.setdefault(record.value["patient_ref"], time.monotonic())
                self.numbers.setdefault(record.value["patient_ref"], spoken_number(record.value))
        self._reader.close()

    def stop(self) -> None:
        """End the thread."""
        self._ended.set()
        self.join(10)


@contextmanager
def installation() -> Iterator[Hospital]:
    """Start a broker (or use the given one), a mail server and the three services, as they are shipped."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="irae-bench-")))
        broker = stack.enter_context(obtain_broker())
        mailbox = stack.enter_context(Mailbox())
        site = write_site(folder / "site", SitePlan(smtp_port=mailbox.port, staff=(HAND, OFFICE)))
        prefix = f"bench-{uuid.uuid4().hex[:8]}."
        system = System(folder, site=site, bootstrap=broker.bootstrap, prefix=prefix, partitions=PARTITIONS)
        stack.callback(system.stop)
        system.apply_topics()
        system.start()
        hospital = Hospital(system, mailbox, token=SitePlan(smtp_port=1).token, name="B")
        stack.callback(hospital.close)
        yield hospital


def admit(hospital: Hospital, count: int) -> list[Patient]:
    """Enrol patients and send their baselines."""
    return [hospital.patient().with_baseline() for _ in range(count)]


def play(hospital: Hospital, watch: Watch, *, seconds: int) -> Round:
    """Send 50 messages/s for so long and wait for what the findings among them must bring."""
    total = PER_SECOND * seconds
    found = admit(hospital, total // EVERY_FIFTH)
    calm = admit(hospital, CONNECTIONS * 4)
    refs = [patient.ref for patient in found]
    seen = Round()
    messages = [
        _message(found[n // EVERY_FIFTH], FERRITIN="412")
        if n % EVERY_FIFTH == 0
        else _message(calm[n % len(calm)], ago=timedelta(hours=3) - timedelta(seconds=n))
        for n in range(total)
    ]
    started = time.monotonic() + 0.2
    senders = [
        threading.Thread(target=_send, args=(hospital, seen, messages, refs, share, started))
        for share in range(CONNECTIONS)
    ]
    for sender in senders:
        sender.start()
    for sender in senders:
        sender.join()
    _collect(hospital, watch, seen, refs)
    return seen


def _message(patient: Patient, *, ago: timedelta = timedelta(hours=1), **values: str) -> str:
    number = patient.hospital.number
    return patient.message(a_panel(**values), Draw(number(), utc_now() - ago, number()))


def _send(
    hospital: Hospital, seen: Round, messages: Sequence[str], refs: Sequence[str], share: int, started: float
) -> None:
    """Send every fifth message of the plan, each at its time; a late one is sent at once and timed from its time."""
    with hospital.system.laboratory() as laboratory:
        for n in range(share, len(messages), CONNECTIONS):
            due = started + n / PER_SECOND
            time.sleep(max(0.0, due - time.monotonic()))
            if n % EVERY_FIFTH == 0:
                seen.sent[refs[n // EVERY_FIFTH]] = due
            answer = laboratory.send(messages[n])
            if answer.code != "AA":
                raise SystemExit(f"a message was answered {answer.code} {answer.text}")
            if n % EVERY_FIFTH == 0:
                seen.answered[refs[n // EVERY_FIFTH]] = time.monotonic()


def _collect(hospital: Hospital, watch: Watch, seen: Round, refs: Sequence[str]) -> None:
    """Wait until each finding's alert, page and mail are there."""
    deadline = time.monotonic() + ARRIVES_WITHIN_SECONDS
    read = 0
    mails: dict[str, float] = {}
    pages: dict[str, float] = {}
    while time.monotonic() < deadline:
        came = hospital.mailbox.mails
        for mail in came[read:]:
            if (number := NUMBER.search(mail.subject)) is not None:
                (pages if HAND.page in mail.recipients else mails).setdefault(number[0], mail.at)
        read = len(came)
        seen.alerted = {ref: watch.first[ref] for ref in refs if ref in watch.first}
        numbers = {ref: watch.numbers[ref] for ref in seen.alerted if ref in watch.numbers}
        seen.mailed = {ref: mails[number] for ref, number in numbers.items() if number in mails}
        seen.paged = {ref: pages[number] for ref, number in numbers.items() if number in pages}
        if min(map(len, (seen.alerted, seen.mailed, seen.paged))) == len(refs):
            return
        time.sleep(0.2)
    counts = f"{len(seen.alerted)} alerts, {len(seen.mailed)} mails, {len(seen.paged)} pages of {len(refs)}"
    raise SystemExit(f"not all findings came through within {ARRIVES_WITHIN_SECONDS:.0f} s: {counts}")


def broker_hop(hospital: Hospital) -> list[float]:
    """Return milliseconds from sending one record (acks=all) to its arrival at a reader: the least a hop can cost."""
    topic = f"{hospital.system.prefix}deliveries.v1.dead"
    producer = KafkaProducer(bootstrap_servers=hospital.system.bootstrap, acks="all")
    consumer = KafkaConsumer(
        bootstrap_servers=hospital.system.bootstrap, enable_auto_commit=False, fetch_max_wait_ms=50
    )
    consumer.assign([TopicPartition(topic, 0)])
    consumer.seek_to_end()
    consumer.position(TopicPartition(topic, 0))
    found = []
    for _ in range(PROBES):
        started = time.monotonic()
        producer.send(topic, b"x" * 4_000, partition=0)
        producer.flush()
        while not consumer.poll(timeout_ms=1_000):
            pass
        found.append(1000 * (time.monotonic() - started))
        time.sleep(1 / PER_SECOND)
    producer.close()
    consumer.close()
    return found


def plain_mail(hospital: Hospital) -> list[float]:
    """Return milliseconds to hand one mail to the sink on a new connection: the least a mail can cost."""
    found = []
    for number in range(PROBES):
        message = EmailMessage()
        message["Subject"], message["From"] = f"probe {number}", "bench@hospital.example"
        message.set_content("x" * 4_000)
        started = time.monotonic()
        with smtplib.SMTP("127.0.0.1", hospital.mailbox.port) as client:
            client.send_message(message, to_addrs=[LI.mail])
        found.append(1000 * (time.monotonic() - started))
    return found


def figures(
    rounds: Sequence[Round], hops: Sequence[Sequence[float]], mails: Sequence[Sequence[float]], seconds: int
) -> list[Figure]:
    """Return the medians over the rounds."""
    conditions = (
        f"{PER_SECOND} messages/s of 20 results for {seconds} s on {CONNECTIONS} connections, one in five a finding, "
        f"{PARTITIONS} partitions, SQLite stores, load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores"
    )
    wanted = (
        ("frame to answer", "answered", hops, "broker hop", {0.5: "", 0.99: "50 ms at 200/s"}),
        ("frame to alert", "alerted", hops, "broker hop", {0.5: "50 ms", 0.99: "250 ms"}),
        ("frame to page taken by the mail server", "paged", mails, "plain mail", {0.5: "1,000 ms", 0.99: "5,000 ms"}),
        ("frame to mail taken by the mail server", "mailed", mails, "plain mail", {0.5: "", 0.99: ""}),
    )
    return [
        figure(
            f"{name} p{share * 100:.0f}",
            [quantile(each.ways(getattr(each, end)), share) for each in rounds],
            "ms",
            conditions,
            baseline=f"{beside} p{share * 100:.0f}",
            baseline_runs=[quantile(values, share) for values in baseline],
            floor=floors[share],
        )
        for name, end, baseline, beside, floors in wanted
        for share in (0.5, 0.99)
    ]


def measure(runs: int, seconds: int) -> list[Figure]:
    """Run the rounds, each with its baselines beside it."""
    rounds, hops, mails = [], [], []
    with installation() as hospital:
        watch = Watch(hospital)
        watch.start()
        try:
            for number in range(runs):
                hops.append(broker_hop(hospital))
                mails.append(plain_mail(hospital))
                rounds.append(play(hospital, watch, seconds=seconds))
                way = quantile(rounds[-1].ways(rounds[-1].alerted), 0.5)
                print(f"round {number + 1} of {runs}: frame to alert p50 {way:.0f} ms", file=sys.stderr, flush=True)
        finally:
            watch.stop()
    return figures(rounds, hops, mails, seconds)


def main(arguments: list[str] | None = None) -> int:
    """Measure, print a line per figure, keep them; then the two rates."""
    parser = argparse.ArgumentParser(prog="make bench-loop", description=__doc__)
    parser.add_argument("--runs", type=int, default=RUNS)
    parser.add_argument("--seconds", type=int, default=10, help="length of a round")
    parser.add_argument("--only-loop", action="store_true", help="leave the two rates out")
    chosen = parser.parse_args(arguments)
    write("loop", measure(chosen.runs, chosen.seconds), at=utc_now())
    rates = () if chosen.only_loop else RATES
    return max((subprocess.run([sys.executable, "-m", name], check=False).returncode for name in rates), default=0)


if __name__ == "__main__":
    sys.exit(main())
