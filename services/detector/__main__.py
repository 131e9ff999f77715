"""The detector's process: `python -m services.detector [--check]`. Wiring only; it waits for broker and database."""

import argparse
import asyncio
import contextlib
import gc
import signal
import socket
import sys
import threading
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeVar

import structlog
from kafka.errors import KafkaError
from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector
from pydantic import ValidationError
from sqlalchemy import Engine

from schemas.admin import check_topics, connected, describe
from schemas.topics import ALERTS, CLINICAL_EVENTS, RETESTS, TOPICS
from services.common.clock import utc_now
from services.common.database import PASSING, DatabaseHeld, hold, is_sqlite
from services.common.environment import wrong_variables
from services.common.errors import EXIT_MISCONFIGURED, EXIT_REFUSED, EXIT_STUCK, Misconfigured
from services.common.kafka import KafkaSettings
from services.common.logging import configure, hold_libraries
from services.common.metrics import MonitoringServer
from services.common.watchdog import Watchdog, end_process
from services.detector.app.carrier import reason_of
from services.detector.app.desk import Desk
from services.detector.app.loop import Loop, Pace
from services.detector.domain import patient
from services.detector.domain.rules import Rulebook
from services.detector.domain.values import Event, ResultId
from services.detector.metrics import Metrics
from services.detector.rulebook import load_rulebook
from services.detector.settings import Settings
from services.detector.store.opening import open_store, store_faults, store_id
from services.detector.store.tables import INBOX
from services.detector.stream import FaustCarrier, build_app
from services.detector.translate.outgoing import Names

OURS = (CLINICAL_EVENTS, ALERTS, RETESTS, TOPICS[CLINICAL_EVENTS.dead])
STOP_SECONDS = 20.0
TOPIC_AGAIN_SECONDS = 60.0

T = TypeVar("T")

log = structlog.get_logger("detector")


@dataclass(frozen=True, slots=True)
class RuledMind:
    """The domain, bound to the rules of this site."""

    rules: Rulebook

    def decide(
        self,
        head: patient.Head | None,
        events: Sequence[Event],
        *,
        history: Sequence[Event] | None,
        now: datetime,
    ) -> patient.Decision:
        """Take one step for one patient."""
        return patient.decide(head, events, history=history, rules=self.rules, now=now)

    def needs_history(
        self, head: patient.Head | None, events: Sequence[Event], *, known_results: Collection[ResultId]
    ) -> bool:
        """Tell whether this step is only right with all earlier facts at hand."""
        return patient.needs_history(head, events, known_results=known_results)


class Refused(Exception):
    """A person must decide before this store may be used."""


class Process:
    """One detector from start to stop, with what `/ready` says of it."""

    def __init__(self, settings: Settings) -> None:
        self._settings, self._registry = settings, CollectorRegistry()
        for collector in (GCCollector, PlatformCollector, ProcessCollector):
            collector(registry=self._registry)
        self._metrics = Metrics(self._registry)
        self._loop: Loop | None = None
        self._carrier: FaustCarrier | None = None
        self._waiting_for: str | None = "starting"
        self._stop = threading.Event()

    def ready(self) -> str | None:
        """Return why nothing is to be expected of this process now, or None."""
        return self._waiting_for or (self._loop.trouble() if self._loop else "starting")

    def run(self) -> int:
        """Run until SIGTERM or SIGINT; returns the exit code."""
        settings = self._settings
        rules = load_rulebook(settings.site_dir)
        server = MonitoringServer(
            settings.metrics_host, settings.metrics_port, self._registry, live=lambda: None, ready=self.ready
        )
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self._stop.set())
        server.start()
        log.info("starting", metrics_port=server.port)
        try:
            with hold(settings.database_url):
                self._open_and_serve(RuledMind(rules))
        finally:
            server.stop()
        log.info("stopped")
        return 0

    def _open_and_serve(self, mind: RuledMind) -> None:
        settings = self._settings
        engine = self._patiently("the database", lambda: open_store(settings.database_url))
        if engine is None:
            return
        if self._patiently("the broker", lambda: refuse_wrong_topics(settings.kafka, engine)):
            self._serve(engine, mind)
        engine.dispose()

    def _patiently(self, what: str, attempt: Callable[[], T]) -> T | None:
        """Wait for the world; being away is no reason to die."""
        pause = 0.5
        while not self._stop.is_set():
            try:
                found = attempt()
            except (KafkaError, *PASSING) as problem:
                self._waiting_for = f"waiting for {what} ({reason_of(problem)})"
                log.warning("waiting", waiting_for=what, reason=reason_of(problem))
                self._stop.wait(pause)
                pause = min(5.0, pause * 2)
            else:
                self._waiting_for = "starting"
                return found
        return None

    def _serve(self, engine: Engine, mind: RuledMind) -> None:
        calm_the_collector()
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            runner.run(self._work(engine, mind))

    async def _work(self, engine: Engine, mind: RuledMind) -> None:
        settings, kafka = self._settings, self._settings.kafka
        names = Names.under(kafka.topic_prefix)
        desk = Desk(engine, mind, names, self._metrics, utc_now, timedelta(days=settings.keep_unenrolled_days))
        carrier = FaustCarrier(build_app(kafka, self._group(engine), settings.session_seconds), names.events)
        pace = Pace(settings.batch, settings.due_seconds)
        self._loop = loop = Loop(carrier, desk, pace, self._metrics, utc_now)
        carrier.collect(loop.receive, loop.forget_positions)
        await carrier.start()
        hold_libraries()
        loop.start()
        dog = Watchdog(loop.sight, excuse=lambda: broker_unreachable(kafka))
        dog.start()
        self._waiting_for = None
        await self._until_stopped(carrier, engine)
        dog.stop()
        self._waiting_for = "stopping"
        await loop.stop(STOP_SECONDS / 2)
        await carrier.stop(STOP_SECONDS / 2)

    async def _until_stopped(self, carrier: FaustCarrier, engine: Engine) -> None:
        elapsed = 0.0
        while not await asyncio.to_thread(self._stop.wait, 0.5):
            if carrier.crashed:
                end_process("the stream engine crashed", EXIT_STUCK)
            elapsed += 0.5
            if elapsed >= TOPIC_AGAIN_SECONDS:
                elapsed = 0.0
                await asyncio.to_thread(self._same_topic, engine)

    def _same_topic(self, engine: Engine) -> None:
        try:
            refuse_other_topic(self._settings.kafka, engine)
        except Refused as refused:
            end_process(str(refused), EXIT_REFUSED)
        except (KafkaError, *PASSING) as problem:
            log.info("topic not looked at", reason=reason_of(problem))

    def _group(self, engine: Engine) -> str:
        """Two SQLite files can never share the partitions of one group: each would decide on half the patients."""
        group = self._settings.kafka.topic("detector")
        return f"{group}-{store_id(engine)}" if is_sqlite(self._settings.database_url) else group


def refuse_wrong_topics(kafka: KafkaSettings, engine: Engine) -> bool:
    """Raise Misconfigured or Refused unless the topics are as they must be, KafkaError while no broker answers."""
    if faults := check_topics(kafka, OURS):
        raise Misconfigured("topics", "; ".join(faults))
    refuse_other_topic(kafka, engine)
    return True


def refuse_other_topic(kafka: KafkaSettings, engine: Engine) -> None:
    """Raise Refused if the topic is not the one the stored offsets belong to."""
    name = kafka.topic(CLINICAL_EVENTS.name)
    with connected(kafka) as admin:
        found = describe(admin, [name]).get(name)
    if found is None:
        raise Refused(f"topic {name} does not exist any more: restore it, or start with an empty store")
    with engine.begin() as db:
        fault = INBOX.recognise(db, name, str(found["topic_id"]), len(found["partitions"]))
    if fault:
        raise Refused(fault)


def calm_the_collector() -> None:
    """Look for reference cycles rarely: a decision makes thousands of objects and no cycle. Saves up to a third."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 50, 100)


def broker_unreachable(kafka: KafkaSettings) -> str | None:
    """Return a sentence if no broker takes a connection: then a new process would fare no better."""
    for server in kafka.servers:
        host, _, port = server.rpartition(":")
        with contextlib.suppress(OSError), socket.create_connection((host.strip("[]"), int(port)), timeout=3):
            return None
    return "no broker can be reached"


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """Uvloop where there is one: a fifth less time in the stream engine."""
    with contextlib.suppress(ImportError):
        import uvloop  # noqa: PLC0415 - not on every platform

        return uvloop.new_event_loop
    return None


def check(settings: Settings) -> list[str]:
    """Return a sentence per fault of settings, rules, topics and store."""
    faults = []
    try:
        load_rulebook(settings.site_dir)
    except Misconfigured as fault:
        faults.append(str(fault))
    try:
        faults += check_topics(settings.kafka, OURS)
    except (KafkaError, OSError) as problem:
        faults.append(f"no broker answers at {settings.kafka.bootstrap_servers} ({type(problem).__name__})")
    try:
        faults += store_faults(settings.database_url)
    except PASSING as problem:
        faults.append(f"the database does not answer ({reason_of(problem)})")
    return faults


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; returns the exit code: 0, 2 for wrong settings, 70 for a standstill, 78 for a store in danger."""
    parser = argparse.ArgumentParser(
        prog="python -m services.detector", description="Decides what is said about patients."
    )
    parser.add_argument("--check", action="store_true", help="verify settings, rules, topics and store, then exit")
    chosen = parser.parse_args(arguments)
    try:
        settings = Settings()
        configure("detector", settings.log_format, "critical" if chosen.check else settings.log_level)
        if chosen.check:
            return _report(check(settings))
        return Process(settings).run()
    except ValidationError as problem:
        return _report(wrong_variables(problem, "DETECTOR"))
    except Misconfigured as fault:
        return _report([str(fault)])
    except (Refused, DatabaseHeld) as refused:
        _report([str(refused)])
        return EXIT_REFUSED


def _report(faults: Sequence[str]) -> int:
    for fault in faults:
        print(fault, file=sys.stderr)
    return EXIT_MISCONFIGURED if faults else 0


if __name__ == "__main__":
    sys.exit(main())
