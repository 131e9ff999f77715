"""The notifier as a whole: opens the store, waits for the broker, runs the parts, says whether it is ready.

Trouble of a store, a broker or a mail server that is away is said and waited for. Settings, topics or site files that
are wrong end the process with a sentence, and so does a part that died: the supervisor starts a fresh one.
"""

import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import TypeVar

import structlog
import uvicorn
from kafka import KafkaProducer
from kafka.errors import KafkaError
from prometheus_client import CollectorRegistry
from sqlalchemy import Engine

from schemas.admin import check_topics
from schemas.topics import ALERTS, CLINICAL_EVENTS, DELIVERIES, PATIENTS, RETESTS, TOPICS
from services.common.clock import Now
from services.common.database import PASSING, hold, is_sqlite
from services.common.errors import Misconfigured
from services.common.kafka import KafkaSettings
from services.common.metrics import MonitoringServer
from services.common.outbox import OutboxRelay
from services.common.watchdog import Judge, Patience, Sight, Watchdog
from services.notifier.adapters.channels import open_channel
from services.notifier.app.clock import Clock
from services.notifier.app.consumer import Consumer
from services.notifier.app.letters import Writer
from services.notifier.app.sender import Lane, Sender
from services.notifier.app.work import Bench
from services.notifier.metrics import Metrics
from services.notifier.rulebook.site import SiteFiles
from services.notifier.settings import Settings
from services.notifier.store import queue
from services.notifier.store.acting import Topics
from services.notifier.store.opening import open_store, store_id
from services.notifier.store.tables import outbox
from services.notifier.web.app import build_web
from services.notifier.web.desk import Desk

USED = tuple(
    TOPICS[name]
    for topic in (PATIENTS, ALERTS, RETESTS, DELIVERIES, CLINICAL_EVENTS)
    for name in (topic.name, topic.dead)
)
AGAIN_SECONDS = 2.0
WATCH_SECONDS = 0.5
STOP_SECONDS = 18.0
PATIENCE = Patience(silent=120.0)
"""No part may stand still for longer: above every timeout of Kafka, the store and a mail server."""

T = TypeVar("T")

log = structlog.get_logger("notifier")


class PartEnded(Exception):
    """A part of the service died; a fresh process fares better."""


class Service:
    """Runs until `stop` is set. `port` is known once the worklist listens."""

    def __init__(self, settings: Settings, site: SiteFiles, key: bytes, now: Now) -> None:
        self._settings, self._site, self._key, self._now = settings, site, key, now
        self._registry = CollectorRegistry()
        self._metrics = Metrics(self._registry)
        self._waiting: str | None = "starting"
        self._parts: tuple[Consumer | Sender | Clock, ...] = ()
        self._relay: OutboxRelay | None = None
        self._relay_runs = False
        self._web: uvicorn.Server | None = None
        self.stop = threading.Event()
        self.monitoring = MonitoringServer(
            settings.metrics_host, settings.metrics_port, self._registry, live=self.live, ready=self.ready
        )

    @property
    def port(self) -> int:
        """The port of the worklist; 0 before it listens."""
        servers = self._web.servers if self._web is not None and self._web.started else []
        return int(servers[0].sockets[0].getsockname()[1]) if servers else 0

    def live(self) -> str | None:
        """Say which part died, if one did."""
        dead = [part.name for part in self._parts if part.failed is not None]
        return f"ended: {', '.join(dead)}" if dead else None

    def ready(self) -> str | None:
        """Say why messages cannot flow, if they cannot."""
        if self._waiting is not None:
            return self._waiting
        troubles = [part.trouble for part in self._parts if part.trouble is not None]
        relayed = self._relay.trouble if self._relay is not None else None
        return self.live() or next(iter(troubles), relayed)

    def run(self) -> None:
        """Start everything, watch it, stop it. Raises Misconfigured, DatabaseHeld and PartEnded."""
        self.monitoring.start()
        with ExitStack() as ending:
            ending.callback(self.monitoring.stop)
            ending.enter_context(hold(self._settings.database_url))
            engine = self._wait(lambda: open_store(self._settings.database_url), PASSING, "the store is away")
            if engine is None:
                return
            ending.callback(engine.dispose)
            if is_sqlite(self._settings.database_url):
                with engine.begin() as db:
                    queue.release(db)
            self._run_with(engine, ending)

    def _run_with(self, engine: Engine, ending: ExitStack) -> None:
        """People are told from the store, and can acknowledge, also while the broker is away."""
        kafka = self._settings.kafka
        topics = Topics(kafka.topic(DELIVERIES.name), kafka.topic(CLINICAL_EVENTS.name))
        bench = Bench(engine, self._site, topics, self._key, self._now, self._metrics)
        web, port = self._listen(bench)
        ending.callback(web.join, 10.0)
        ending.callback(self._leave_web)
        writer = Writer(self._site.current, self._key, self._settings.link_base(port), self._metrics, self._now, engine)
        sender = Sender(bench, writer, lambda: open_lanes(self._site, self._now))
        clock = Clock(bench, self._settings.clock_seconds, sender.reopen)
        relay = self._relay = OutboxRelay(engine, outbox, lambda: make_producer(kafka))
        bench.wake_sender, bench.wake_relay = sender.wake, relay.wake
        self._parts = (sender, clock)
        ending.callback(self._leave_parts)
        for part in (sender, clock):
            part.start()
        if self._wait(lambda: self._checked_topics(kafka), (KafkaError, *PASSING), "Kafka is away") is None:
            return
        relay.start()
        self._relay_runs = True
        group = f"{kafka.topic_prefix}notifier-{store_id(engine)}"
        consumer = Consumer(
            bench, kafka, group, batch=self._settings.batch, session_seconds=self._settings.session_seconds
        )
        self._parts = (consumer, sender, clock)
        consumer.start()
        watchdog = Watchdog(lambda: Sight(min(bench.beats.values(), default=time.monotonic())), judge=Judge(PATIENCE))
        watchdog.start()
        ending.callback(watchdog.stop)
        self._waiting = None
        log.info("running", worklist=port, metrics=self.monitoring.port, group=group)
        self._watch()

    def _watch(self) -> None:
        while not self.stop.wait(WATCH_SECONDS):
            dead = self.live()
            if dead is not None:
                raise PartEnded(dead)

    def _wait(self, attempt: Callable[[], T], passing: tuple[type[BaseException], ...], what: str) -> T | None:
        """Try until it works or the service is stopped; meanwhile the probe says what is missing."""
        while not self.stop.is_set():
            try:
                return attempt()
            except passing as problem:
                self._waiting = f"{what}: {type(problem).__name__}"
                log.warning("waiting", reason=self._waiting)
                self.stop.wait(AGAIN_SECONDS)
        return None

    def _checked_topics(self, kafka: KafkaSettings) -> bool:
        if faults := check_topics(kafka, USED):
            raise Misconfigured("topics", "; ".join(faults))
        return True

    def _listen(self, bench: Bench) -> tuple[threading.Thread, int]:
        """Open the worklist. Raises Misconfigured where its port is taken."""
        settings = self._settings
        writer = Writer(self._site.current, self._key, "", self._metrics, self._now)
        desk = Desk(
            engine=bench.engine,
            now=self._now,
            site=self._site.current,
            topics=bench.topics,
            key=self._key,
            letters=writer.letters(),
            acted=bench.acted,
            secure_cookies=(settings.public_url or "").startswith("https://"),
        )
        config = uvicorn.Config(
            build_web(desk),
            host=settings.http_host,
            port=settings.http_port,
            log_config=None,
            access_log=False,
            timeout_graceful_shutdown=5,
            lifespan="off",
            server_header=False,
        )
        self._web = uvicorn.Server(config)
        thread = threading.Thread(target=self._web.run, name="worklist", daemon=True)
        thread.start()
        while not self._web.started:
            if not thread.is_alive():
                raise Misconfigured("http_port", f"cannot listen on {settings.http_host}:{settings.http_port}")
            time.sleep(0.02)
        return thread, self.port

    def _leave_parts(self) -> None:
        """Ask all at once and wait for all together: a supervisor gives us half a minute."""
        relay = [self._relay] if self._relay is not None and self._relay_runs else []
        parts: list[Consumer | Sender | Clock | OutboxRelay] = [*self._parts, *relay]
        for part in parts:
            part.stop(0.0)
        deadline = time.monotonic() + STOP_SECONDS
        for part in parts:
            part.stop(max(0.1, deadline - time.monotonic()))

    def _leave_web(self) -> None:
        if self._web is not None:
            self._web.should_exit = True


def open_lanes(site: SiteFiles, now: Now) -> dict[str, Lane]:
    """Return the channels of the site as it stands, each with its threads."""
    return {
        name: Lane(open_channel(channel, now), channel.parallel, name)
        for name, channel in site.current().channels.items()
    }


def make_producer(kafka: KafkaSettings) -> KafkaProducer:
    """Return a producer whose word can be trusted."""
    return KafkaProducer(
        **kafka.for_kafka_python(),
        acks="all",
        enable_idempotence=True,
        linger_ms=5,
        delivery_timeout_ms=20_000,
        request_timeout_ms=6_000,
        max_block_ms=10_000,
        max_request_size=1_000_000,
        allow_auto_create_topics=False,
    )
