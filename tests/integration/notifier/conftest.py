from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.notifier.house import House
from tests.support.mailbox import Mailbox


@pytest.fixture
def house(kafka_bootstrap: str, topic_prefix: str, tmp_path: Path) -> Iterator[House]:
    with Mailbox() as mailbox:
        house = House(kafka_bootstrap, topic_prefix, tmp_path, mailbox, f"sqlite:///{tmp_path}/notifier.db")
        yield house
        for process in house.processes:
            process.kill()
