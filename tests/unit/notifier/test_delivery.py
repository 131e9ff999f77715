from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.notifier.domain.audit import Count, findings
from services.notifier.domain.delivery import Kind, Patience, State, Verdict, backoff, judge
from services.notifier.domain.retests import Answer, Slot, Status, on_plan, retest_roles
from services.notifier.domain.values import Urgency
from tests.unit.notifier.builders import NOW, routing

PATIENCE = Patience(timedelta(seconds=5), timedelta(minutes=5), timedelta(hours=24))
DAY = timedelta(hours=24)


def verdict(
    kind: Kind, *, urgency: Urgency = Urgency.P2, ladder: bool = True, age: timedelta = timedelta(0), wait: int = 0
) -> Verdict:
    return judge(
        kind,
        "451",
        urgency=urgency,
        has_ladder=ladder,
        attempts=1,
        created_at=NOW - age,
        not_before=timedelta(seconds=wait),
        spread=1.0,
        patience=PATIENCE,
        now=NOW,
    )


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        pytest.param(verdict(Kind.SENT), Verdict(State.SENT, "451"), id="sent"),
        pytest.param(verdict(Kind.REFUSED), Verdict(State.REFUSED, "451"), id="refused"),
        pytest.param(verdict(Kind.RETRY), Verdict(State.WAITING, "451", NOW + timedelta(seconds=5)), id="again"),
        pytest.param(
            verdict(Kind.RETRY, wait=90), Verdict(State.WAITING, "451", NOW + timedelta(seconds=90)), id="Retry-After"
        ),
        pytest.param(verdict(Kind.RETRY, age=DAY), Verdict(State.REFUSED, "gave up: 451"), id="given up after a day"),
        pytest.param(
            verdict(Kind.RETRY, age=DAY, ladder=False),
            Verdict(State.WAITING, "451", NOW + timedelta(seconds=5)),
            id="never what nobody would say again",
        ),
        pytest.param(
            verdict(Kind.RETRY, age=9 * DAY, urgency=Urgency.P1),
            Verdict(State.WAITING, "451", NOW + timedelta(seconds=5)),
            id="P1 is never given up",
        ),
    ],
)
def test_what_becomes_of_an_attempt(found: Verdict, expected: Verdict) -> None:
    assert found == expected


@given(st.integers(0, 10_000), st.floats(0, 1))
def test_backoff_grows_and_stays_between_half_the_first_and_the_longest(attempts: int, spread: float) -> None:
    pause = backoff(attempts, spread, PATIENCE)
    assert PATIENCE.first / 2 <= pause <= PATIENCE.longest
    assert backoff(attempts + 1, spread, PATIENCE) >= pause


@pytest.mark.parametrize(
    ("before", "message", "answer"),
    [
        pytest.param(None, (1, Status.SCHEDULED, 1), Answer(is_news=True, remind=False, reminded=None), id="scheduled"),
        pytest.param(None, (1, Status.OVERDUE, 1), Answer(is_news=True, remind=True, reminded="draw-1"), id="overdue"),
        pytest.param(
            Slot(1, "draw-1"), (2, Status.OVERDUE, 1), Answer(is_news=True, remind=False, reminded="draw-1"), id="still"
        ),
        pytest.param(
            Slot(2, "draw-1"), (3, Status.OVERDUE, 2), Answer(is_news=True, remind=True, reminded="draw-2"), id="next"
        ),
        pytest.param(
            Slot(2, None), (3, Status.OVERDUE, 1), Answer(is_news=True, remind=True, reminded="draw-1"), id="anew"
        ),
        pytest.param(
            Slot(5, None), (5, Status.OVERDUE, 1), Answer(is_news=False, remind=False, reminded=None), id="repeated"
        ),
        pytest.param(
            Slot(5, "draw-1"), (4, Status.STOPPED, 1), Answer(is_news=False, remind=False, reminded="draw-1"), id="old"
        ),
    ],
)
def test_an_overdue_slot_is_reminded_once(
    before: Slot | None, message: tuple[int, Status, int], answer: Answer
) -> None:
    assert on_plan(before, *message) == answer


@given(st.lists(st.tuples(st.sampled_from([Status.OVERDUE]), st.just(1)), max_size=20))
def test_however_often_overdue_is_said_a_slot_is_reminded_at_most_once(stream: list[tuple[Status, int]]) -> None:
    slot: Slot | None = None
    reminders = 0
    for seq, (status, draw) in enumerate(stream, 1):
        answer = on_plan(slot, seq, status, draw)
        reminders += answer.remind
        slot = Slot(seq, answer.reminded)
    assert reminders == min(1, len(stream))


def test_the_ward_and_the_coordinator_hear_of_an_overdue_draw() -> None:
    assert retest_roles("Oncology 3", routing()) == ("ward-3", "trial-coordinator")
    assert retest_roles("Elsewhere", routing()) == ("trial-coordinator",)
    assert retest_roles(None, routing()) == ("trial-coordinator",)


@pytest.mark.parametrize(
    ("count", "number"),
    [
        pytest.param(Count(0, NOW, NOW), 0, id="all is well"),
        pytest.param(Count(0, None, None), 0, id="nothing is open"),
        pytest.param(Count(1, None, None), 1, id="an alert without a next step"),
        pytest.param(Count(0, NOW - timedelta(minutes=6), None), 1, id="a step that is late"),
        pytest.param(Count(0, None, NOW - timedelta(minutes=6)), 1, id="a message that waits too long"),
    ],
)
def test_the_auditor_names_each_broken_promise(count: Count, number: int) -> None:
    assert len(findings(count, NOW)) == number
