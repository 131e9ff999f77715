"""The demo's own installation under `var/demo`: site folder, ports, mail server, three services, and their end.

Law: whatever was started here is ended here, in the reverse order, also when a part of it failed to start.
"""

import fcntl
import shutil
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from kafka.admin import KafkaAdminClient
from kafka.errors import KafkaError

from deploy.broker import Broker, obtain_broker
from deploy.demo.mail_page import MailPage
from deploy.demo.terminal import Terminal
from services.common.clock import utc_now
from tests.support.hospital import Hospital
from tests.support.mailbox import Mailbox
from tests.support.processes import REPOSITORY, Process, free_port
from tests.support.site import NIGHT, OFFICE, OKAFOR, Member, SitePlan, write_site
from tests.support.system import HOST, Ports, System

FOLDER = REPOSITORY / "var" / "demo"
"""Where a demo lives unless it is told otherwise."""

USUAL = Ports(mllp=2575, registry=8010, web=8020, ingest_metrics=9110, detector_metrics=9120, notifier_metrics=9130)
USUAL_SMTP, USUAL_MAIL_PAGE = 1025, 8025
MEYER = Member("meyer", "en", ("immunology", "haematology", "nephrology"))
LI = Member("li", "zh", ("rheumatology", "hepatology"))
STAFF = (MEYER, LI, OKAFOR, NIGHT, OFFICE)
"""Who is on duty in the demo: one reads English, one Chinese, so that both are seen."""

MARK = "demo.lock"
READY_SECONDS = 90.0
PARTITIONS = 3


class FolderTaken(Exception):
    """The folder is in use, or is not a demo's."""


class NotAllStarted(Exception):
    """A part of the demo did not start. `tail` holds the last lines of its log."""

    def __init__(self, sentence: str, tail: str = "") -> None:
        self.tail = tail
        super().__init__(sentence)


@dataclass(frozen=True, slots=True)
class Installation:
    """Everything that runs."""

    hospital: Hospital
    mail_page_port: int
    broker: Broker
    folder: Path

    @property
    def services(self) -> tuple[Process, ...]:
        """The three services."""
        return self.hospital.system.services

    def addresses(self, password: str, login: str) -> dict[str, str]:
        """Return where a person finds what."""
        ports = self.hospital.system.ports
        return {
            "worklist": f"http://{HOST}:{ports.web}/   sign in as {login}, password {password}",
            "mail sink": f"http://{HOST}:{self.mail_page_port}/   SMTP on port {self.hospital.mailbox.port}",
            "metrics": "   ".join(f"http://{HOST}:{s.monitoring_port}/metrics" for s in self.services),
            "laboratory": f"MLLP on {HOST}:{ports.mllp}",
            "registry API": f"http://{HOST}:{ports.registry}/v1/patients/...   (token: {self.folder}/token)",
            "broker": f"{self.broker.bootstrap}   topics under {self.hospital.system.prefix}",
            "logs": f"{self.folder}/*.log",
        }


@contextmanager
def installed(terminal: Terminal, folder: Path) -> Iterator[Installation]:
    """Start everything; end everything. Raises FolderTaken, NoBroker, NotAllStarted."""
    with ExitStack() as stack:
        stack.enter_context(_held(folder))
        broker = stack.enter_context(obtain_broker(say=terminal.broker))
        terminal.broker(f"answers at {broker.bootstrap}")
        mailbox = stack.enter_context(Mailbox(port=_usual_or_free(USUAL_SMTP), watch=terminal.mail))
        page = MailPage(page_port := _usual_or_free(USUAL_MAIL_PAGE), mailbox)
        page.start()
        stack.callback(page.stop)
        system, token = _system(folder, broker, mailbox)
        stack.callback(_forget_topics, broker, system)
        stack.callback(_stop, system, terminal)
        _start(system, terminal)
        hospital = Hospital(system, mailbox, token=token, name="D")
        stack.callback(hospital.close)
        yield Installation(hospital, page_port, broker, folder)


@contextmanager
def _held(folder: Path) -> Iterator[None]:
    """Empty the folder, but for the site key, and hold it. Raises FolderTaken."""
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.iterdir()) and not (folder / MARK).exists():
        raise FolderTaken(f"{folder} is not a demo's folder and would be emptied; name another one")
    with (folder / MARK).open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise FolderTaken(f"another demo is running in {folder}; end that one first (Ctrl-C)") from None
        for path in folder.iterdir():
            if path.is_dir():
                shutil.rmtree(path)
            elif path.name not in {MARK, "site.key"}:
                path.unlink()
        yield


def _system(folder: Path, broker: Broker, mailbox: Mailbox) -> tuple[System, str]:
    """Write the site's folder: a ladder of seconds, so that an unanswered page is seen to climb."""
    plan = SitePlan(smtp_port=mailbox.port, acknowledge_within="45s", staff=STAFF)
    site = write_site(folder / "site", plan)
    (folder / "token").write_text(plan.token + "\n", "utf-8")
    system = System(
        folder, site=site, bootstrap=broker.bootstrap, prefix=f"demo-{utc_now():%Y%m%d-%H%M%S}.",
        ports=_ports(), partitions=PARTITIONS,
    )  # fmt: skip
    return system, plan.token


def _ports() -> Ports:
    """Return the usual ports, each replaced by a free one where somebody has it."""
    return replace(USUAL, **{name: _usual_or_free(getattr(USUAL, name)) for name in USUAL.__slots__})


def _usual_or_free(port: int) -> int:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return free_port()
    return port


def _start(system: System, terminal: Terminal) -> None:
    try:
        system.apply_topics()
    except Exception as problem:
        raise NotAllStarted(f"the topics could not be made: {problem}") from problem
    for service in system.services:
        service.start()
    for service in system.services:
        try:
            service.wait_ready(READY_SECONDS)
        except Exception as problem:
            raise NotAllStarted(f"{service.name} did not start; its log is {service.log}", service.tail()) from problem
        terminal.say("services", f"{service.name} is ready (process {service.pid})")


def _stop(system: System, terminal: Terminal) -> None:
    terminal.say("demo", "ending the services")
    system.stop()


def _forget_topics(broker: Broker, system: System) -> None:
    """A broker that was given goes on without the demo's topics; one of our own goes with them."""
    if broker.kind != "given":
        return
    with suppress(KafkaError, OSError):
        admin = KafkaAdminClient(bootstrap_servers=broker.bootstrap, request_timeout_ms=5_000)
        try:
            admin.delete_topics([name for name in admin.list_topics() if name.startswith(system.prefix)])
        finally:
            admin.close()
