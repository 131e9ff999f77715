"""One whole installation under a folder: three real services on a real broker, with their ports, logs and stores.

Law: it is reached as an outsider reaches it (DESIGN.md section 7): environment, files of the site, sockets.
"""

import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from tests.support.mllp_client import Answer, MllpClient, deliver
from tests.support.processes import REPOSITORY, DidNotStart, Process, free_port, python
from tests.support.registry import Registry
from tests.support.topics import TopicReader

HOST = "127.0.0.1"
INHERITED = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "VIRTUAL_ENV", "TMPDIR", "COVERAGE_PROCESS_START")
TOPICS_SECONDS = 90


@dataclass(frozen=True, slots=True)
class Ports:
    """Where the services listen; free ones unless said otherwise."""

    mllp: int = field(default_factory=free_port)
    registry: int = field(default_factory=free_port)
    web: int = field(default_factory=free_port)
    ingest_metrics: int = field(default_factory=free_port)
    detector_metrics: int = field(default_factory=free_port)
    notifier_metrics: int = field(default_factory=free_port)


class System:
    """The loop from the laboratory's socket to the mail server."""

    def __init__(
        self,
        folder: Path,
        *,
        site: Path,
        bootstrap: str,
        prefix: str,
        ports: Ports | None = None,
        partitions: int = 4,
        env: Mapping[str, str] | None = None,
    ) -> None:
        self.folder = folder
        self.bootstrap = bootstrap
        self.prefix = prefix
        self.ports = ports or Ports()
        self.env = {name: os.environ[name] for name in INHERITED if name in os.environ} | {
            "PYTHONUNBUFFERED": "1",
            "KAFKA_BOOTSTRAP_SERVERS": bootstrap,
            "KAFKA_PARTITIONS": str(partitions),
            "TOPIC_PREFIX": prefix,
            "SITE_DIR": str(site),
            "SITE_KEY_FILE": str(folder / "site.key"),
            "INGEST_MLLP_PORT": str(self.ports.mllp),
            "INGEST_HTTP_PORT": str(self.ports.registry),
            "NOTIFIER_HTTP_PORT": str(self.ports.web),
            "INGEST_METRICS_PORT": str(self.ports.ingest_metrics),
            "DETECTOR_METRICS_PORT": str(self.ports.detector_metrics),
            "NOTIFIER_METRICS_PORT": str(self.ports.notifier_metrics),
            "DETECTOR_DATABASE_URL": f"sqlite:///{folder / 'detector.db'}",
            "NOTIFIER_DATABASE_URL": f"sqlite:///{folder / 'notifier.db'}",
            "DETECTOR_DUE_SECONDS": "1",
            "LOG_FORMAT": "json",
        }
        self.env |= env or {}
        self.ingest = self._service("ingest", self.ports.ingest_metrics)
        self.detector = self._service("detector", self.ports.detector_metrics)
        self.notifier = self._service("notifier", self.ports.notifier_metrics)

    def _service(self, name: str, monitoring_port: int) -> Process:
        log = self.folder / f"{name}.log"
        return Process(name, python("-m", f"services.{name}"), env=self.env, log=log, monitoring_port=monitoring_port)

    @property
    def services(self) -> tuple[Process, Process, Process]:
        """The three, in the order in which a message meets them."""
        return (self.ingest, self.detector, self.notifier)

    def run(self, *arguments: str, timeout: float = TOPICS_SECONDS) -> subprocess.CompletedProcess[str]:
        """Run one of the project's commands in this installation's environment and return how it ended."""
        return subprocess.run(
            python(*arguments),
            cwd=REPOSITORY,
            env=self.env,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    def apply_topics(self) -> None:
        """Create the topics. Raises DidNotStart with what the command said."""
        done = self.run("-m", "schemas.topics", "--apply")
        if done.returncode != 0:
            raise DidNotStart(f"schemas.topics --apply ended with {done.returncode}:\n{done.stdout}{done.stderr}")

    def start(self, *, ready_within: float = 90.0) -> None:
        """Start the three services and wait until each is ready. Raises DidNotStart."""
        for service in self.services:
            service.start()
        for service in self.services:
            service.wait_ready(ready_within)

    def stop(self) -> dict[str, int]:
        """End what runs; return how each ended."""
        return {service.name: service.stop() for service in self.services}

    def laboratory(self, *, timeout: float = 10.0) -> MllpClient:
        """Open a connection from the laboratory."""
        return MllpClient(HOST, self.ports.mllp, timeout=timeout)

    def deliver(self, message: str, *, within: float = 60.0) -> Answer:
        """Send a message until it is answered."""
        return deliver(HOST, self.ports.mllp, message, within=within)

    def registry(self, token: str) -> Registry:
        """Open the trial office's connection."""
        return Registry(f"http://{HOST}:{self.ports.registry}", token)

    def web(self) -> httpx.Client:
        """Open a browser on the worklist: cookies are kept, redirects are followed."""
        return httpx.Client(
            base_url=f"http://{HOST}:{self.ports.web}", follow_redirects=True, timeout=15.0, trust_env=False
        )

    def topic(self, name: str) -> TopicReader:
        """Read one of our topics from its beginning."""
        return TopicReader(self.bootstrap, f"{self.prefix}{name}")

    def tails(self) -> str:
        """Return the end of each log, for a failed test."""
        return "\n".join(
            f"--- {service.name} ({service.exit_code}) ---\n{service.tail(12)}" for service in self.services
        )
