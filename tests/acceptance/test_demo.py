"""`make run` as a newcomer sees it: within a minute a page and a mail, and nothing is left running."""

import os
import re
import signal
import subprocess
from pathlib import Path
from typing import Self

import psutil
import pytest

from tests.support.processes import REPOSITORY, python

PROCESS = re.compile(r"(\w+) is ready \(process (\d+)\)")

pytestmark = pytest.mark.slow


class Demo:
    """A running demo and what it has printed."""

    def __init__(self, folder: Path, bootstrap: str, *arguments: str) -> None:
        env = os.environ | {"KAFKA_BOOTSTRAP_SERVERS": bootstrap, "COLUMNS": "140", "PYTHONUNBUFFERED": "1"}
        command = python("-m", "deploy.demo", "--folder", str(folder), *arguments)
        self.process = subprocess.Popen(
            command, cwd=REPOSITORY, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        self.printed: list[str] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Leave nothing running when a test fails half way: SIGTERM ends the services as well."""
        if self.process.poll() is None:
            self.process.terminate()
            self.process.communicate(timeout=60)
        if self.process.stdout is not None:
            self.process.stdout.close()

    def read_until(self, words: str) -> None:
        """Read lines until one holds the words."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.printed.append(line)
            if words in line:
                return
        pytest.fail(f"the demo ended before it said {words!r}:\n{self}")

    def end(self) -> int:
        """Read to the end and return how it ended."""
        rest, _ = self.process.communicate(timeout=60)
        self.printed.append(rest)
        return self.process.returncode

    def services(self) -> dict[str, int]:
        """Return the process ids of the services by name."""
        return {name: int(number) for name, number in PROCESS.findall(str(self))}

    def __str__(self) -> str:
        return "".join(self.printed)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "demo"


def assert_gone(demo: Demo) -> None:
    found = demo.services()
    assert found.keys() == {"ingest", "detector", "notifier"}
    assert not [name for name, number in found.items() if psutil.pid_exists(number)]


def test_the_first_page_and_the_first_mail_are_shown_as_they_came_out(folder: Path, kafka_bootstrap: str) -> None:
    with Demo(folder, kafka_bootstrap, "--once") as demo:
        assert demo.end() == 0, str(demo)
        shown = str(demo)
        for words in ("the first page, as it came out", "the first mail, as it came out", "worklist", "mail sink"):
            assert words in shown
        assert "Traceback" not in shown
        assert_gone(demo)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["Ctrl-C", "a supervisor's stop"])
def test_being_asked_to_end_it_ends_everything_it_started(
    folder: Path, kafka_bootstrap: str, number: signal.Signals
) -> None:
    with Demo(folder, kafka_bootstrap) as demo:
        demo.read_until("patients enrolled by API")
        demo.process.send_signal(number)
        assert demo.end() == 0, str(demo)
        assert "Traceback" not in str(demo)
        assert_gone(demo)


def test_a_service_that_dies_is_named_with_the_end_of_its_log(folder: Path, kafka_bootstrap: str) -> None:
    with Demo(folder, kafka_bootstrap) as demo:
        demo.read_until("notifier is ready")
        psutil.Process(demo.services()["detector"]).kill()
        assert demo.end() == 1, str(demo)
        assert "detector ended with -9" in str(demo)
        assert "last lines of its log" in str(demo)
        assert_gone(demo)


def test_a_folder_with_something_else_in_it_is_left_alone(folder: Path, kafka_bootstrap: str) -> None:
    folder.mkdir()
    (folder / "thesis.txt").write_text("ferritin")
    with Demo(folder, kafka_bootstrap) as demo:
        assert demo.end() == 1
        assert "is not a demo's folder" in str(demo)
    assert (folder / "thesis.txt").read_text() == "ferritin"


def test_two_demos_in_one_folder_are_one_too_many(folder: Path, kafka_bootstrap: str) -> None:
    with Demo(folder, kafka_bootstrap) as first:
        first.read_until("answers at")
        with Demo(folder, kafka_bootstrap) as second:
            assert second.end() == 1
            assert "another demo is running" in str(second)
        first.process.terminate()
        assert first.end() == 0, str(first)
