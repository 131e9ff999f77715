"""One real ingest process on a real broker, reached as an outsider reaches it."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.site import SitePlan, write_site
from tests.support.system import System

MakeSystem = Callable[[str], System]


@pytest.fixture
def make_system(tmp_path: Path, topic_prefix: str) -> Iterator[MakeSystem]:
    """Make an installation on the broker at an address; nothing of it runs yet."""
    made: list[System] = []

    def make(bootstrap: str) -> System:
        site = write_site(tmp_path / "site", SitePlan(smtp_port=1))
        everything = {"LOG_LEVEL": "debug"}  # what must not be logged must not be logged there either
        made.append(System(tmp_path, site=site, bootstrap=bootstrap, prefix=topic_prefix, env=everything))
        return made[-1]

    yield make
    for system in made:
        system.ingest.stop()


@pytest.fixture
def system(make_system: MakeSystem, kafka_bootstrap: str) -> System:
    """Topics and a running ingest on the session's broker."""
    running = make_system(kafka_bootstrap)
    running.apply_topics()
    running.ingest.start()
    running.ingest.wait_ready()
    return running
