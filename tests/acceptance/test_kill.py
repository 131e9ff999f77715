"""kill -9 of each service in turn in the middle of 500 messages: nothing is missed, nothing is invented.

Duplicates are allowed and recognisable: the same id, the same content. Misses are not.
"""

import itertools
import threading
import time
from collections import defaultdict
from collections.abc import Sequence
from typing import Self

import pytest

from tests.acceptance.courses import COURSES, Expected, admit
from tests.support.hospital import Hospital, Message, standing
from tests.support.processes import Process

PATIENTS = 50
CONNECTIONS = 4
PAUSE_SECONDS = 0.04
ANSWERED_WITHIN_SECONDS = 90.0
RECOVERED_WITHIN_SECONDS = 120.0


class Feed:
    """Sends each patient's messages in order on a few connections, and repeats what is not answered."""

    def __init__(self, hospital: Hospital, expected: Sequence[Expected]) -> None:
        self._hospital = hospital
        self._answered = 0
        self._news = threading.Condition()
        self._failures: list[BaseException] = []
        shares = [expected[n::CONNECTIONS] for n in range(CONNECTIONS)]
        self._threads = [threading.Thread(target=self._run, args=(share,)) for share in shares]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        for thread in self._threads:
            thread.join()
        if self._failures:
            raise self._failures[0]

    def wait_until(self, answered: int) -> None:
        """Return once so many messages have been answered."""
        with self._news:
            reached = self._news.wait_for(lambda: self._answered >= answered or bool(self._failures), 120)
        assert reached, f"{self._answered} of {answered} messages answered"
        assert not self._failures, self._failures

    def _run(self, share: Sequence[Expected]) -> None:
        try:
            # One message of each patient after the other, as a ward's draws come in.
            for message in itertools.chain(*zip(*(each.messages for each in share), strict=True)):
                answer = self._hospital.system.deliver(message, within=ANSWERED_WITHIN_SECONDS)
                assert answer.code == "AA", answer
                with self._news:
                    self._answered += 1
                    self._news.notify_all()
                time.sleep(PAUSE_SECONDS)
        except BaseException as problem:  # noqa: BLE001 - it is raised again where the feed is joined
            with self._news:
                self._failures.append(problem)
                self._news.notify_all()


def kill_and_restart(service: Process) -> None:
    service.kill()
    assert service.exit_code == -9
    service.start()


def newest_words(alerts: Sequence[Message]) -> dict[str, list[Message]]:
    """Return each rule's alerts in the order of their sequence numbers, each number once."""
    unique = {alert["seq"]: alert for alert in alerts}
    by_rule: dict[str, list[Message]] = defaultdict(list)
    for seq in sorted(unique):
        by_rule[unique[seq]["rule_id"]].append(unique[seq])
    return by_rule


def wait_for_the_end(hospital: Hospital, expected: Sequence[Expected]) -> None:
    """Return once every patient stands as expected. Raises AssertionError with those who do not."""
    deadline = time.monotonic() + RECOVERED_WITHIN_SECONDS
    while wrong := [each for each in expected if standing(each.patient.alerts()) != each.course.stands]:
        if time.monotonic() > deadline:
            told = [(e.course.name, e.patient.ref, standing(e.patient.alerts())) for e in wrong]
            pytest.fail(f"{len(wrong)} of {len(expected)} patients do not stand as expected: {told}")
        hospital.topic("alerts.v1").poll()


@pytest.fixture
def expected(hospital: Hospital) -> list[Expected]:
    return [admit(hospital, COURSES[n % len(COURSES)]) for n in range(PATIENTS)]


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_kill_9_of_each_service_in_turn_loses_no_alert_and_invents_none(
    hospital: Hospital, expected: list[Expected]
) -> None:
    total = sum(len(each.messages) for each in expected)
    assert total == 500
    with Feed(hospital, expected) as feed:
        for share, service in zip((0.2, 0.45, 0.7), hospital.system.services, strict=True):
            feed.wait_until(int(total * share))
            kill_and_restart(service)
        feed.wait_until(total)
    for service in hospital.system.services:
        service.wait_ready()
    wait_for_the_end(hospital, expected)

    for each in expected:
        alerts = each.patient.alerts()
        words = {rule: tuple(a["action"] for a in said) for rule, said in newest_words(alerts).items()}
        assert words.keys() <= each.course.said.keys(), (each.course.name, words)
        assert all(words.get(rule, ()) in may for rule, may in each.course.said.items()), (each.course.name, words)
        _assert_duplicates_are_equal(alerts)
    _assert_every_message_became_one_event(hospital, expected)
    _assert_people_were_told(hospital, expected)


def _assert_duplicates_are_equal(alerts: Sequence[Message]) -> None:
    for seq in {alert["seq"] for alert in alerts}:
        same = [alert for alert in alerts if alert["seq"] == seq]
        assert all(alert == same[0] for alert in same), f"seq {seq} came with different content"
    ids = {(alert["rule_id"], alert["alert_id"]) for alert in alerts}
    assert len({rule for rule, _ in ids}) == len(ids), "one rule of one episode has two ids"


def _assert_every_message_became_one_event(hospital: Hospital, expected: Sequence[Expected]) -> None:
    refs = {each.patient.ref for each in expected}
    ids: dict[str, set[str]] = defaultdict(set)
    for record in hospital.topic("clinical-events.v1").to_end():
        if record.value.get("kind") == "lab-report" and record.value["patient_ref"] in refs:
            ids[record.value["control_id"]].add(record.value["event_id"])
    assert len(ids) == 500
    assert all(len(found) == 1 for found in ids.values()), "one message was given two event ids"


def _assert_people_were_told(hospital: Hospital, expected: Sequence[Expected]) -> None:
    """Everybody's alert reaches a mail; who has none is in none. A mail that came twice says so by its Message-ID."""
    for each in expected:
        if each.course.stands:
            each.patient.mail(within=RECOVERED_WITHIN_SECONDS)
        elif not each.course.said:
            assert each.patient.mails() == [], each.patient.ref
    by_id: dict[tuple[str, tuple[str, ...]], set[str]] = defaultdict(set)
    for mail in hospital.mailbox.mails:
        by_id[str(mail.message["Message-ID"]), mail.recipients].add(mail.subject)
    assert all(len(subjects) == 1 for subjects in by_id.values())
