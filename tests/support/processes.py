"""Starts, watches, kills and ends real processes. Law: it ends only what it started, by its process id.

Standard output and error of each go to one file; `tail()` shows its end, so that a failed test tells why.
"""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import httpx

REPOSITORY = Path(__file__).resolve().parents[2]
PAUSE_SECONDS = 0.05
STOP_SECONDS = 30.0


class DidNotStart(Exception):
    """A process ended, or did not become ready in time; the message holds the last lines of its log."""


def free_port() -> int:
    """Return a port of loopback on which nobody listens now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Process:
    """One program, started as often as asked, its output appended to `log`."""

    def __init__(
        self,
        name: str,
        arguments: Sequence[str],
        *,
        env: Mapping[str, str],
        log: Path,
        monitoring_port: int | None = None,
    ) -> None:
        self.name = name
        self.log = log
        self.monitoring_port = monitoring_port
        self.env = dict(env)
        self._arguments = tuple(arguments)
        self._running: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it. A session of its own keeps a Ctrl-C in the terminal from reaching it before we do."""
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as output:
            self._running = subprocess.Popen(
                self._arguments, cwd=REPOSITORY, env=self.env, stdin=subprocess.DEVNULL, stdout=output,
                stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip

    @property
    def pid(self) -> int:
        """Process id of what runs now. Raises DidNotStart where nothing was started."""
        if self._running is None:
            raise DidNotStart(f"{self.name} was not started")
        return self._running.pid

    @property
    def is_running(self) -> bool:
        """Whether it was started and has not ended."""
        return self._running is not None and self._running.poll() is None

    @property
    def exit_code(self) -> int | None:
        """How it ended; None while it runs."""
        return None if self._running is None else self._running.poll()

    def stop(self, timeout: float = STOP_SECONDS) -> int:
        """Ask it to end (SIGTERM), wait, end it by force when it does not; return how it ended."""
        if self._running is None:
            return 0
        if self._running.poll() is None:
            self._running.terminate()
            try:
                self._running.wait(timeout)
            except subprocess.TimeoutExpired:
                self._running.kill()
        return self._running.wait()

    def kill(self) -> None:
        """End it at once, as the kernel does when memory is short (SIGKILL)."""
        if self._running is not None and self._running.poll() is None:
            self._running.kill()
            self._running.wait()

    def pause(self) -> None:
        """Freeze it (SIGSTOP)."""
        os.kill(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        """Let a frozen one go on."""
        os.kill(self.pid, signal.SIGCONT)

    def get(self, path: str) -> httpx.Response:
        """Ask its monitoring port. Raises httpx.TransportError while it does not listen."""
        return httpx.get(f"http://127.0.0.1:{self.monitoring_port}{path}", timeout=5.0, trust_env=False)

    def readiness(self) -> str | None:
        """Return None when ready, else why not."""
        try:
            answer = self.get("/ready")
        except httpx.TransportError as problem:
            return f"does not answer ({type(problem).__name__})"
        return None if answer.status_code == httpx.codes.OK else answer.text.strip()

    def wait_ready(self, timeout: float = 60.0) -> None:
        """Return once it says it is ready. Raises DidNotStart with the end of its log."""
        deadline = time.monotonic() + timeout
        while (why := self.readiness()) is not None:
            if not self.is_running:
                raise DidNotStart(f"{self.name} ended with {self.exit_code}:\n{self.tail()}")
            if time.monotonic() > deadline:
                raise DidNotStart(f"{self.name} was not ready within {timeout} s: {why}\n{self.tail()}")
            time.sleep(PAUSE_SECONDS)

    def metrics(self) -> dict[str, float]:
        """Return its metrics, by name with labels as they stand in the text."""
        lines = (line for line in self.get("/metrics").text.splitlines() if line and not line.startswith("#"))
        return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}

    def tail(self, lines: int = 30) -> str:
        """Return the last lines of its log."""
        if not self.log.exists():
            return "(no log)"
        return "\n".join(self.log.read_text("utf-8", errors="replace").splitlines()[-lines:])


def python(*arguments: str) -> tuple[str, ...]:
    """Return the command line of this interpreter with arguments."""
    return (sys.executable, *arguments)
