"""One node of the cluster: broker and controller in one Java process.

Law: it signals only a process whose command line names the node's own configuration file: a recycled pid is never hit.
"""

import os
import signal
import socket
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from prerequisites import HERE, LIBS, TAIL_CHARACTERS, CannotRun, java

HOST = "127.0.0.1"
HEAP = "512m"
READY = "Kafka Server started"
READY_SECONDS = 90
STOP_SECONDS = 30
POLL_SECONDS = 0.1


@dataclass(frozen=True)
class Node:
    """One broker and controller in one process."""

    number: int
    port: int
    controller_port: int
    dir: Path

    @property
    def properties(self) -> Path:
        """The node's configuration file, which also marks its process as ours."""
        return self.dir / "server.properties"

    @property
    def log(self) -> Path:
        """What the node said since its last start."""
        return self.dir / "server.log"

    def command(self, main: str, *arguments: str, heap: str = HEAP) -> list[str]:
        """Return the command line of one of Kafka's programs."""
        logging = f"-Dlog4j2.configurationFile={HERE / 'log4j2.properties'}"
        return [java(), f"-Xmx{heap}", "-XX:+UseSerialGC", logging, "-cp", f"{LIBS}/*", main, *arguments]

    def pid(self) -> int | None:
        """Return the pid of our running process, if there is one."""
        try:
            pid = int((self.dir / "pid").read_text("ascii"))
        except (FileNotFoundError, ValueError):
            return None
        return pid if str(self.properties) in command_line(pid) else None

    def signal(self, number: signal.Signals) -> None:
        """Signal our process; nothing happens where it is not running."""
        if (pid := self.pid()) is not None:
            os.kill(pid, number)

    def format(self, cluster_id: str) -> None:
        """Prepare an empty data directory; a used one is left as it is. Raises CannotRun."""
        storage = ["format", "--ignore-formatted", "--cluster-id", cluster_id, "--config", str(self.properties)]
        command = self.command("kafka.tools.StorageTool", *storage, heap="128m")
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise CannotRun(f"formatting {self.dir} failed: {(done.stdout + done.stderr)[-TAIL_CHARACTERS:]}")

    def launch(self) -> None:
        """Start the process unless it runs. Raises CannotRun when a port is taken."""
        if self.pid() is not None:
            return
        for port in (self.port, self.controller_port):
            if not is_free(port):
                raise CannotRun(f"Port {port} is taken: choose another with --port, or --port 0 for any free one.")
        with self.log.open("w") as log:
            process = subprocess.Popen(
                self.command("kafka.Kafka", str(self.properties)),
                stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip
        (self.dir / "pid").write_text(str(process.pid), "ascii")

    def tail(self) -> str:
        """Return the end of what the node said."""
        return self.log.read_text("utf-8", errors="replace")[-TAIL_CHARACTERS:]

    def wait_until_ready(self) -> None:
        """Return once the node serves. Raises CannotRun when it dies or takes too long."""
        deadline = time.monotonic() + READY_SECONDS
        while READY not in self.log.read_text("utf-8", errors="replace"):
            if self.pid() is None:
                raise CannotRun(f"Node {self.number} died; the end of {self.log}: {self.tail()}")
            if time.monotonic() > deadline:
                raise CannotRun(f"Node {self.number} was not ready after {READY_SECONDS} s: see {self.log}.")
            time.sleep(POLL_SECONDS)

    def wait_until_gone(self) -> bool:
        """Return whether the process ended in time."""
        deadline = time.monotonic() + STOP_SECONDS
        while self.pid() is not None:
            if time.monotonic() > deadline:
                return False
            reap()
            time.sleep(POLL_SECONDS)
        (self.dir / "pid").unlink(missing_ok=True)
        return True


def command_line(pid: int) -> str:
    """Return a living process's command line, empty for none and for one that only waits to be collected."""
    if not Path("/proc/self").exists():
        command = ["ps", "-p", str(pid), "-o", "stat=,command="]
        shown = subprocess.run(command, capture_output=True, text=True, check=False).stdout
        return "" if shown.startswith("Z") else shown
    try:
        # A process that has only just become Java shows an empty line for an instant, a dead one shows it for good.
        while not (line := Path(f"/proc/{pid}/cmdline").read_bytes()):
            if b"State:\tZ" in Path(f"/proc/{pid}/status").read_bytes():
                return ""
    except (FileNotFoundError, ProcessLookupError):
        return ""
    return line.replace(b"\0", b" ").decode("utf-8", "replace")


def reap() -> None:
    """Collect an ended child, where the node is our own child."""
    try:
        os.waitpid(-1, os.WNOHANG)
    except ChildProcessError:
        return


def is_free(port: int) -> bool:
    """Say whether a listener may be opened on the port."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True
