"""Messages as they are written when a sender takes them: what they say of their age, and what a page leaves out."""

from datetime import timedelta
from pathlib import Path

import pytest

from services.notifier.app.letters import Writer
from services.notifier.domain.values import Tier
from services.notifier.store.opening import open_store
from tests.component.notifier.floor import KEY, Floor, open_floor


@pytest.fixture
def floor(tmp_path: Path) -> Floor:
    return open_floor(open_store(f"sqlite:///{tmp_path}/store.db"), tmp_path / "site")


def written(floor: Floor, tier: Tier) -> list[str]:
    """Return the texts of what is due, as they leave."""
    writer = Writer(
        floor.site.current, KEY, "https://alerts.example", floor.bench.metrics, lambda: floor.now, floor.engine
    )
    return [writer.write(item).text for item in floor.take() if item.tier == tier]


@pytest.mark.parametrize(
    ("age", "is_labelled"),
    [
        pytest.param(timedelta(minutes=59), False, id="at once"),
        pytest.param(timedelta(hours=5), True, id="after an outage or on a replay"),
    ],
)
def test_a_mail_that_leaves_long_after_its_decision_says_so(floor: Floor, age: timedelta, is_labelled: bool) -> None:
    floor.alert(decided_at=floor.now - age)
    floor.now += timedelta(seconds=30)
    mails = written(floor, Tier.MAIL)
    assert mails
    assert {("此判定作出于" in text) for text in mails} == {is_labelled}


def test_a_mail_that_waited_for_its_server_says_so(floor: Floor) -> None:
    floor.alert()
    floor.now += timedelta(hours=3)
    assert all("此判定作出于 2026" in text for text in written(floor, Tier.MAIL))


def test_a_page_is_in_no_thread_and_a_mail_is(floor: Floor) -> None:
    floor.alert()
    writer = Writer(floor.site.current, KEY, "https://alerts.example", floor.bench.metrics, lambda: floor.now)
    threads = {item.tier: writer.write(item).thread for item in floor.take()}
    assert threads[Tier.PAGE] is None, "a page carries number, urgency and call-back; a thread would tie pages together"
    assert threads[Tier.MAIL] is not None
