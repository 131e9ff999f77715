"""`python -m services.ingest [--check | token new ...]`: the one place that chooses implementations and wires them.

Ends with 0 after SIGTERM, 2 with a sentence per fault when a person must act; a supervisor restarts everything else.
"""

import argparse
import asyncio
import gc
import logging as stdlib_logging
import signal
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import structlog
import uvloop
from kafka.errors import KafkaError
from prometheus_client import CollectorRegistry

from schemas.admin import check_topics
from services.common import logging
from services.common.clock import utc_now
from services.common.errors import EXIT_MISCONFIGURED, Misconfigured
from services.common.kafka import KafkaSettings
from services.common.metrics import MonitoringServer
from services.ingest.adapters.event_log import EventLog
from services.ingest.adapters.http_api import RegistryApi
from services.ingest.adapters.http_server import HttpServer
from services.ingest.adapters.kafka_clients import Probe, make_producer
from services.ingest.adapters.mllp_server import MllpServer
from services.ingest.adapters.producer_thread import ProducerThread
from services.ingest.adapters.registry import Registrar, canonical
from services.ingest.adapters.site_files import (
    WRITTEN,
    Site,
    load_site,
    local_faults,
    read_strangers,
    tls_context,
    topic_faults,
    warnings_of,
)
from services.ingest.adapters.tokens import ROLES, new_token
from services.ingest.app import Ingest, Topics
from services.ingest.metrics import IngestMetrics
from services.ingest.settings import IngestSettings, read_settings

CHATTY = ("kafka", "uvicorn.error")
"""Their INFO tells of connections, a dozen lines for each; what matters of it is said by us."""
GC_THRESHOLD = (20_000, 50, 50)
RETRY_SECONDS = 2.0
BEAT_SECONDS = 1.0
SILENT_SECONDS = 15.0
LARGE_FRAME_THREADS = 2

log = structlog.get_logger("ingest")


class Service:
    """One ingest process."""

    def __init__(self, settings: IngestSettings, kafka: KafkaSettings, site: Site) -> None:
        self._settings, self._kafka, self._site = settings, kafka, site
        registry = CollectorRegistry()
        metrics = IngestMetrics(registry)
        topics = Topics.named(kafka.topic)
        thread = ProducerThread(
            partial(make_producer, kafka),
            topics.all,
            probe=Probe(kafka),
            on_new_producer=metrics.producers.inc,
        )
        self._log = EventLog(thread, metrics, answer_seconds=settings.answer_seconds)
        self._ingest = Ingest(
            self._log,
            topics=topics,
            tables=site.tables,
            profiles=site.profiles,
            registrar=Registrar(site.key, partial(canonical, site.tables)),
            site_key=site.key,
            metrics=metrics,
            now=utc_now,
        )
        self._executor = ThreadPoolExecutor(LARGE_FRAME_THREADS, "large-frame")
        self._mllp = MllpServer(self._ingest, settings, metrics, self._executor)
        self._api = RegistryApi(
            self._ingest,
            site.tokens.grant,
            zone=site.zone,
            max_body_bytes=settings.max_body_bytes,
            metrics=metrics,
        )
        self._monitoring = self._monitoring_server(registry)
        self._starting: str | None = "starting"
        self._beat = time.monotonic()

    def _monitoring_server(self, registry: CollectorRegistry) -> MonitoringServer:
        host, port = self._settings.metrics_host, self._settings.metrics_port
        try:
            return MonitoringServer(host, port, registry, live=self._dead, ready=self._not_ready)
        except OSError as problem:
            raise Misconfigured("metrics_port", f"cannot listen on {host}:{port}: {problem.strerror}") from problem

    def _dead(self) -> str | None:
        silence = time.monotonic() - self._beat
        return f"the event loop has not turned for {silence:.0f} s" if silence > SILENT_SECONDS else None

    def _not_ready(self) -> str | None:
        return self._starting or self._log.fault()

    async def run(self) -> int:
        """Serve until SIGTERM or SIGINT; return the exit code. Raises Misconfigured."""
        stopping = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stopping.set)
        http = self._http_server()
        self._monitoring.start()
        for warning in [*warnings_of(self._settings), *self._site.strangers()]:
            log.warning(warning)
        serving = asyncio.create_task(http.run())
        others = [asyncio.create_task(self._beat_for_ever()), asyncio.create_task(self._begin(http.port))]
        try:
            await _first_end(asyncio.create_task(stopping.wait()), serving, *others)
        finally:
            log.info("stopping")
            for task in others:
                task.cancel()
            http.stop()
            await asyncio.gather(self._mllp.stop(), serving, return_exceptions=True)
            await self._log.stop()
            self._monitoring.stop()
            self._executor.shutdown(wait=False, cancel_futures=True)
        log.info("stopped")
        return 0

    def _http_server(self) -> HttpServer:
        settings = self._settings
        certificate = None
        if settings.http_tls and settings.tls_certfile is not None and settings.tls_keyfile is not None:
            certificate = settings.tls_certfile, settings.tls_keyfile
        try:
            return HttpServer(self._api.build(), settings.http_host, settings.http_port, certificate)
        except OSError as problem:
            where = f"{settings.http_host}:{settings.http_port}"
            raise Misconfigured("http_port", f"cannot listen on {where}: {problem.strerror}") from problem

    async def _beat_for_ever(self) -> None:
        while True:
            self._beat = time.monotonic()
            await asyncio.sleep(BEAT_SECONDS)

    async def _begin(self, http_port: int) -> None:
        """Wait for the broker, refuse wrong topics, then open the MLLP port; ends never, unless in failure."""
        await self._wait_for_topics()
        self._log.start()
        while (fault := self._log.fault()) is not None:
            self._starting = fault
            await asyncio.sleep(RETRY_SECONDS / 10)
        try:
            ports = await self._mllp.start(tls_context(self._settings))
        except OSError as problem:
            where = f"{self._settings.mllp_host}:{self._settings.mllp_port}"
            raise Misconfigured("mllp_port", f"cannot listen on {where}: {problem.strerror}") from problem
        self._starting = None
        log.info("ready", http=http_port, metrics=self._monitoring.port, **ports)
        await asyncio.Event().wait()

    async def _wait_for_topics(self) -> None:
        while True:
            try:
                faults = await asyncio.to_thread(check_topics, self._kafka, WRITTEN)
            except (KafkaError, OSError) as problem:
                self._starting = f"Kafka does not answer ({type(problem).__name__})"
                log.warning("waiting for Kafka", problem=type(problem).__name__)
                await asyncio.sleep(RETRY_SECONDS)
                continue
            if faults:
                raise Misconfigured("topics", "\n".join(faults))
            return


async def _first_end(*tasks: "asyncio.Task[object]") -> None:
    """Wait for the first task that ends; raise what it raised."""
    done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in done:
        task.result()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    chosen = _parser().parse_args(arguments)
    try:
        if chosen.command == "token":
            return _new_token(chosen.source, chosen.authority, chosen.roles)
        return _check() if chosen.check else _run()
    except Misconfigured as problem:
        return _say(problem.detail.splitlines())


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m services.ingest", description="HL7 and registry in, events out.")
    parser.add_argument("--check", action="store_true", help="settings, site files, tables, topics; then end")
    commands = parser.add_subparsers(dest="command", metavar="command")
    token = commands.add_parser("token", help="bearer tokens of the registry API")
    new = token.add_subparsers(dest="action", required=True).add_parser("new", help="print a token and its stanza")
    new.add_argument("--source", required=True, help="name of the source that its messages come from")
    new.add_argument("--authority", required=True, help="assigning authority of the MRNs that it speaks of")
    new.add_argument("--roles", required=True, nargs="+", metavar="ROLE", help=f"some of {', '.join(ROLES)}")
    return parser


def _say(faults: Sequence[str]) -> int:
    for fault in faults:
        print(fault, file=sys.stderr)
    return EXIT_MISCONFIGURED if faults else 0


def _new_token(source: str, authority: str, roles: Sequence[str]) -> int:
    named = [role for given in roles for role in given.split(",") if role]
    token, stanza = new_token(source, authority, named)
    print(f"token (shown this once): {token}\n\nappend to SITE_DIR/tokens.toml:\n\n{stanza}", end="")
    return 0


def _check() -> int:
    settings, kafka = read_settings()
    faults = local_faults(settings) + topic_faults(kafka)
    for warning in warnings_of(settings) + ([] if faults else read_strangers(settings)):
        print(f"warning: {warning}", file=sys.stderr)
    if not faults:
        print("ingest: settings, site files, tables and topics are in order")
    return _say(faults)


def _run() -> int:
    settings, kafka = read_settings()
    logging.configure("ingest", settings.log_format, settings.log_level)
    for chatty in CHATTY:
        stdlib_logging.getLogger(chatty).setLevel(stdlib_logging.WARNING)
    site = load_site(settings)
    # What was read so far stays; short-lived messages need no search of all of it: a fifth of the time per message.
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLD)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(Service(settings, kafka, site).run())


if __name__ == "__main__":
    sys.exit(main())
