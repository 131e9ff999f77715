from dataclasses import replace
from datetime import datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.notifier.domain.escalation import (
    TRANSITIONS,
    CancelWaiting,
    Cause,
    Expired,
    Ladder,
    Phase,
    Requeue,
    Tell,
    TellTheTold,
    on_acknowledged,
    on_ended,
    on_lessened,
    on_raised,
    on_time,
    on_worsened,
)
from services.notifier.domain.values import Action, Role, Urgency
from tests.unit.notifier.builders import LADDERS, NOW, WITHIN, facts

TICK = timedelta(microseconds=1)
RAISED = on_raised(None, facts(), LADDERS, NOW)[0]


def test_raising_tells_the_alerts_roles_and_waits() -> None:
    ladder, effects = on_raised(None, facts(), LADDERS, NOW)
    assert effects == (Tell((Role("@alert"),), 0, 0, escalated=False),)
    assert (ladder.phase, ladder.next_at, ladder.since_seq) == (Phase.TOLD, NOW + WITHIN, 1)


@pytest.mark.parametrize(
    ("now", "phase", "effects"),
    [
        pytest.param(NOW + WITHIN - TICK, Phase.TOLD, 0, id="one tick before the limit"),
        pytest.param(NOW + WITHIN, Phase.ESCALATED, 1, id="exactly at the limit"),
        pytest.param(NOW + timedelta(days=9), Phase.ESCALATED, 1, id="after an outage of days, one step"),
    ],
)
def test_unanswered_the_next_step_is_told(now: datetime, phase: Phase, effects: int) -> None:
    ladder, said = on_time(RAISED, LADDERS, now)
    assert (ladder.phase, len(said)) == (phase, effects)


def test_the_last_step_of_p1_repeats_until_somebody_answers() -> None:
    ladder, now, told = RAISED, NOW, []
    for _ in range(6):
        now = ladder.next_at or now
        ladder, effects = on_time(ladder, LADDERS, now)
        told += [(effect.step, effect.round) for effect in effects if isinstance(effect, Tell)]
    assert told == [(1, 0), (2, 0), (2, 1), (2, 2), (2, 3), (2, 4)]


def test_an_acknowledgement_stops_the_ladder_and_cancels_what_waits() -> None:
    ladder, effects = on_acknowledged(RAISED, LADDERS, NOW, "acknowledged by li")
    assert ladder.phase is Phase.ACKNOWLEDGED
    assert effects == (CancelWaiting("acknowledged by li"),)
    assert on_time(ladder, LADDERS, NOW + timedelta(hours=7)) == (ladder, ())


def test_an_acknowledgement_of_p1_expires_and_the_ladder_begins_again() -> None:
    ladder, _ = on_acknowledged(RAISED, LADDERS, NOW, "acknowledged by li")
    again, effects = on_time(ladder, LADDERS, NOW + timedelta(hours=8))
    assert effects == (Expired(), Tell((Role("@alert"),), 0, 1, escalated=False))
    assert again.phase is Phase.TOLD


def test_an_acknowledgement_of_p2_does_not_expire() -> None:
    p2 = on_raised(None, facts(urgency=Urgency.P2), LADDERS, NOW)[0]
    ladder, _ = on_acknowledged(p2, LADDERS, NOW, "by li")
    assert ladder.next_at is None


def test_worsening_pages_again_although_acknowledged() -> None:
    acknowledged, _ = on_acknowledged(RAISED, LADDERS, NOW, "by li")
    ladder, effects = on_worsened(acknowledged, facts(seq=2, level=3), LADDERS, NOW)
    assert Tell((Role("@alert"),), 0, 1, escalated=False) in effects
    assert (ladder.phase, ladder.level, ladder.since_seq) == (Phase.TOLD, 3, 1)


def test_a_revision_keeps_an_acknowledgement_and_corrects_the_told() -> None:
    acknowledged, _ = on_acknowledged(RAISED, LADDERS, NOW, "by li")
    ladder, effects = on_lessened(acknowledged, facts(seq=2, level=1), LADDERS, NOW)
    assert ladder.phase is Phase.ACKNOWLEDGED
    assert TellTheTold() in effects


def test_a_revision_before_an_answer_tells_those_who_still_waited() -> None:
    ladder, effects = on_lessened(RAISED, facts(seq=2, urgency=Urgency.P2, level=1), LADDERS, NOW)
    assert (TellTheTold() in effects, Requeue() in effects) == (True, True)
    assert ladder.next_at == NOW + timedelta(hours=24)


def test_the_end_stops_the_ladder_and_tells_exactly_the_told() -> None:
    ladder, effects = on_ended(RAISED, facts(seq=2, action=Action.WITHDRAWN), "withdrawn")
    assert (ladder.phase, ladder.next_at) == (Phase.STOPPED, None)
    assert effects == (CancelWaiting("withdrawn"), TellTheTold())


def test_p3_is_listed_and_listed_again_while_nobody_answers() -> None:
    ladder, effects = on_raised(None, facts(urgency=Urgency.P3), LADDERS, NOW)
    assert (ladder.phase, len(effects)) == (Phase.LISTED, 1)
    assert on_time(ladder, LADDERS, NOW + timedelta(days=7))[1] != ()


def test_late_facts_are_listed_whatever_their_urgency() -> None:
    assert on_raised(None, facts(late=True, newest=False), LADDERS, NOW)[0].phase is Phase.LISTED
    assert on_raised(None, facts(late=True, newest=True), LADDERS, NOW)[0].phase is Phase.TOLD


def test_every_phase_but_waiting_and_stopped_answers_every_cause() -> None:
    causes = set(Cause) - {Cause.RAISED}
    for phase in set(Phase) - {Phase.WAITING, Phase.STOPPED}:
        assert set(TRANSITIONS[phase]) == causes


CAUSES = st.sampled_from(["worse", "less", "ack", "time", "end", "raise", "soon"])


@given(st.lists(CAUSES, max_size=30), st.sampled_from([Urgency.P1, Urgency.P2, Urgency.P3, Urgency.P4]))
def test_whatever_happens_an_open_alert_has_a_next_step_or_somebody_who_answers(
    causes: list[str], urgency: Urgency
) -> None:
    ladder, now, seq, level = on_raised(None, facts(urgency=urgency), LADDERS, NOW)[0], NOW, 1, 2
    tellings: set[tuple[int, int, int]] = set()
    for cause in causes:
        before = ladder.phase
        seq += 1
        ladder, effects, now = _move(ladder, cause, seq, level, now)
        for effect in effects:
            if isinstance(effect, Tell):
                name = (ladder.seq, effect.step, effect.round)
                assert name not in tellings, "one telling, one name"
                tellings.add(name)
        if ladder.phase is Phase.STOPPED:
            assert ladder.next_at is None
        elif ladder.phase is not Phase.ACKNOWLEDGED:
            assert ladder.next_at is not None
        elif ladder.urgency is Urgency.P1:
            assert ladder.next_at is not None, "an acknowledgement of P1 expires"
        if before is not ladder.phase:
            assert any(ladder.phase in reached for reached in TRANSITIONS[before].values())


def _move(
    ladder: Ladder, cause: str, seq: int, level: int, now: datetime
) -> tuple[Ladder, tuple[object, ...], datetime]:
    stopped = ladder.phase is Phase.STOPPED
    match cause:
        case "raise" if stopped:
            return *on_raised(ladder, facts(seq=seq), LADDERS, now), now
        case "worse" if not stopped:
            return *on_worsened(ladder, facts(seq=seq, level=level + 1), LADDERS, now), now
        case "less" if not stopped:
            return *on_lessened(ladder, facts(seq=seq, urgency=Urgency.P2), LADDERS, now), now
        case "ack":
            return *on_acknowledged(ladder, LADDERS, now, "by li"), now
        case "end" if not stopped:
            return *on_ended(ladder, facts(seq=seq, action=Action.CLEARED), "cleared"), now
        case "time":
            now = ladder.next_at or now
            return *on_time(ladder, LADDERS, now), now
        case _:
            now += timedelta(seconds=1)
            return *on_time(ladder, LADDERS, now), now


@given(st.lists(st.integers(0, 3600), max_size=60))
def test_however_often_the_clock_asks_a_step_is_told_once(seconds: list[int]) -> None:
    ladder, now, steps = RAISED, NOW, []
    for pause in seconds:
        now += timedelta(seconds=pause)
        ladder, effects = on_time(ladder, LADDERS, now)
        ladder, nothing = on_time(ladder, LADDERS, now)
        assert nothing == ()
        steps += [now for _ in effects]
    assert all(later - earlier >= WITHIN for earlier, later in pairwise(steps))


def test_a_site_that_turns_a_ladder_into_a_list_loses_no_alert() -> None:
    listed = {**LADDERS, Urgency.P1: LADDERS[Urgency.P3]}
    ladder, effects = on_time(replace(RAISED, step=2), listed, NOW + WITHIN)
    assert (ladder.phase, len(effects)) == (Phase.LISTED, 1)
