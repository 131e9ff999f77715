"""What Kafka needs before it can run: Java, and once Maven to fetch the jars."""

import fcntl
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

HERE = Path(__file__).resolve().parent
LIBS = HERE / "libs"
POM = HERE / "pom.xml"
OLDEST_JAVA = 17
INSTALL_JAVA = "install it with `apt-get install -y openjdk-17-jre-headless` (or `brew install openjdk@17`)"
INSTALL_MAVEN = "install it with `apt-get install -y maven` (or `brew install maven`)"
TAIL_CHARACTERS = 1500


class CannotRun(Exception):
    """Something the person at the terminal can put right; the message says how."""


def java() -> str:
    """Return the path of a Java that Kafka 4 accepts. Raises CannotRun."""
    home = os.environ.get("JAVA_HOME")
    found = shutil.which("java", path=f"{home}/bin") if home else shutil.which("java")
    if found is None:
        raise CannotRun(f"Java is missing: {INSTALL_JAVA}.")
    banner = subprocess.run([found, "-version"], capture_output=True, text=True, check=False).stderr
    version = re.search(r'version "(\d+)', banner)
    if version is None or int(version[1]) < OLDEST_JAVA:
        age = version[1] if version else "of an unknown version"
        raise CannotRun(f"Kafka needs Java {OLDEST_JAVA} or newer and {found} is {age}: {INSTALL_JAVA}.")
    return found


def fetch_jars() -> None:
    """Download Kafka once per text of pom.xml; two launchers at a time wait for each other. Raises CannotRun."""
    stamp = LIBS / "pom.stamp"
    with locked(HERE / "libs.lock"):
        if stamp.exists() and stamp.read_text("utf-8") == POM.read_text("utf-8"):
            return
        maven = shutil.which("mvn")
        if maven is None:
            raise CannotRun(f"Maven is missing, needed once to download Kafka: {INSTALL_MAVEN}.")
        sys.stderr.write("local-kafka: downloading Apache Kafka, once ...\n")
        shutil.rmtree(LIBS, ignore_errors=True)
        command = [maven, "-B", "-q", "-f", str(POM), "dependency:copy-dependencies", f"-DoutputDirectory={LIBS}"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise CannotRun(f"Maven could not download Kafka: {(done.stdout + done.stderr)[-TAIL_CHARACTERS:]}")
        stamp.write_text(POM.read_text("utf-8"), "utf-8")


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold a file lock; it falls with the process, so nothing is left behind after a kill."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
