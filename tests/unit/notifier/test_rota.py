from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.notifier.domain.hours import Hours
from services.notifier.domain.rota import Duty, Once, Rota, Weekly, unheld
from services.notifier.domain.values import PersonId, Role
from tests.unit.notifier.builders import SHANGHAI

BERLIN = ZoneInfo("Europe/Berlin")
ROLE, LI, WANG, MEYER = Role("oncology"), PersonId("li"), PersonId("wang"), PersonId("meyer")
DAILY = frozenset(range(7))


def duty(person: PersonId, shift: Weekly | Once, *, override: bool = False) -> Duty:
    return Duty(ROLE, person, shift, override)


def local(text: str, zone: ZoneInfo = SHANGHAI) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=zone).astimezone(UTC)


DAY_AND_NIGHT = Rota(
    (duty(LI, Weekly(DAILY, time(8), time(20))), duty(WANG, Weekly(DAILY, time(20), time(8)))), SHANGHAI
)


@pytest.mark.parametrize(
    ("at", "holder"),
    [
        pytest.param("2026-03-04T07:59:59", WANG, id="the last second of the night"),
        pytest.param("2026-03-04T08:00:00", LI, id="hand-over to the day"),
        pytest.param("2026-03-04T20:00:00", WANG, id="hand-over to the night"),
        pytest.param("2026-03-05T00:00:00", WANG, id="midnight belongs to yesterday's shift"),
    ],
)
def test_a_hand_over_has_neither_gap_nor_overlap(at: str, holder: PersonId) -> None:
    assert DAY_AND_NIGHT.on_duty(ROLE, local(at)) == (holder,)


def test_a_night_shift_of_friday_runs_into_saturday() -> None:
    rota = Rota((duty(LI, Weekly(frozenset({4}), time(17, 30), time(8))),), SHANGHAI)
    assert rota.on_duty(ROLE, local("2026-03-07T03:00")) == (LI,)
    assert rota.on_duty(ROLE, local("2026-03-08T03:00")) == ()


def test_an_override_replaces_everybody_of_its_role_while_it_runs() -> None:
    away = Once(local("2026-03-04T12:00"), local("2026-03-04T14:00"))
    rota = Rota((*DAY_AND_NIGHT.duties, duty(MEYER, away, override=True)), SHANGHAI)
    assert rota.on_duty(ROLE, local("2026-03-04T11:59")) == (LI,)
    assert rota.on_duty(ROLE, local("2026-03-04T12:00")) == (MEYER,)
    assert rota.on_duty(ROLE, local("2026-03-04T14:00")) == (LI,)


def test_a_shift_keeps_to_its_first_and_last_day() -> None:
    rota = Rota((duty(LI, Weekly(DAILY, time(8), time(8), date(2026, 3, 2), date(2026, 3, 3))),), SHANGHAI)
    days = [rota.on_duty(ROLE, local(f"2026-03-0{day}T09:00")) for day in range(1, 6)]
    assert days == [(), (LI,), (LI,), (), ()]
    assert rota.on_duty(ROLE, local("2026-03-04T07:00")) == (LI,)


def test_where_the_clock_springs_forward_the_night_is_an_hour_shorter_and_nobody_is_missing() -> None:
    rota = Rota(
        (duty(LI, Weekly(DAILY, time(2, 30), time(14))), duty(WANG, Weekly(DAILY, time(14), time(2, 30)))), BERLIN
    )
    start = datetime(2026, 3, 28, 12, tzinfo=UTC)
    holders = [rota.on_duty(ROLE, start + timedelta(minutes=5 * step)) for step in range(12 * 48)]
    assert all(len(holder) == 1 for holder in holders)


@given(
    st.lists(st.times().map(lambda at: at.replace(second=0, microsecond=0)), min_size=2, max_size=5, unique=True),
    st.integers(0, 365 * 24 * 60).map(lambda minutes: datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=minutes)),
    st.sampled_from([SHANGHAI, BERLIN, ZoneInfo("America/New_York")]),
)
def test_shifts_that_follow_each_other_round_the_day_leave_exactly_one_on_duty(
    walls: list[time], at: datetime, zone: ZoneInfo
) -> None:
    walls.sort()
    ends = [*walls[1:], walls[0]]
    rota = Rota(
        tuple(
            duty(PersonId(f"p{number}"), Weekly(DAILY, start, end))
            for number, (start, end) in enumerate(zip(walls, ends, strict=True))
        ),
        zone,
    )
    assert len(rota.on_duty(ROLE, at)) == 1


def test_a_gap_in_the_coming_days_is_found() -> None:
    weekdays = Rota((duty(LI, Weekly(frozenset(range(5)), time(0), time(0))),), SHANGHAI)
    friday = local("2026-03-06T12:00")
    assert list(unheld(weekdays, [ROLE], friday, 14)) == [(ROLE, local("2026-03-07T00:00"))]
    assert list(unheld(DAY_AND_NIGHT, [ROLE], friday, 14)) == []


HOURS = Hours(SHANGHAI, frozenset(range(5)), time(8), time(17, 30), frozenset({date(2026, 3, 9)}))


@pytest.mark.parametrize(
    ("at", "start"),
    [
        pytest.param("2026-03-04T08:00", "2026-03-04T08:00", id="as they begin"),
        pytest.param("2026-03-04T17:29", "2026-03-04T17:29", id="just before they end"),
        pytest.param("2026-03-04T17:30", "2026-03-05T08:00", id="as they end"),
        pytest.param("2026-03-06T18:00", "2026-03-10T08:00", id="Friday evening before a holiday on Monday"),
    ],
)
def test_working_hours_begin_next(at: str, start: str) -> None:
    assert HOURS.next_start(local(at)) == local(start)


def test_a_weekly_digest_comes_on_its_day_holiday_or_not() -> None:
    assert HOURS.next_on(0, time(8), local("2026-03-04T10:00")) == local("2026-03-09T08:00")
    assert HOURS.next_on(0, time(8), local("2026-03-09T08:00")) == local("2026-03-16T08:00")
