"""Bare dates and weekends, in the site's zone."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.detector.domain.times import is_not_after, is_not_before, to_working_day

SHANGHAI = ZoneInfo("Asia/Shanghai")
BERLIN = ZoneInfo("Europe/Berlin")
instants = st.datetimes(datetime(2026, 1, 1), datetime(2028, 1, 1)).map(lambda at: at.replace(tzinfo=UTC))  # noqa: DTZ001


@given(instants, st.sampled_from([SHANGHAI, BERLIN]))
def test_a_due_time_is_never_at_a_weekend_and_moves_by_a_day_at_most(due_at: datetime, zone: ZoneInfo) -> None:
    moved = to_working_day(due_at, zone)
    assert moved.astimezone(zone).weekday() < 5
    assert abs(moved - due_at) <= timedelta(hours=25)
    assert moved == due_at or due_at.astimezone(zone).weekday() >= 5


def test_the_wall_clock_stays_when_the_clocks_change() -> None:
    sunday = datetime(2026, 3, 29, 9, 30, tzinfo=BERLIN).astimezone(UTC)
    saturday = datetime(2026, 10, 24, 9, 30, tzinfo=BERLIN).astimezone(UTC)
    assert to_working_day(sunday, BERLIN).astimezone(BERLIN) == datetime(2026, 3, 30, 9, 30, tzinfo=BERLIN)
    assert to_working_day(saturday, BERLIN).astimezone(BERLIN) == datetime(2026, 10, 23, 9, 30, tzinfo=BERLIN)


@pytest.mark.parametrize(
    ("hour", "by_day", "before"),
    [
        pytest.param(15, True, True, id="15:59 UTC is still the same day in Shanghai"),
        pytest.param(16, True, False, id="16:59 UTC is the next day in Shanghai"),
        pytest.param(15, False, False, id="by the hour it is later"),
    ],
)
def test_a_bare_date_is_compared_by_the_date_of_the_site(hour: int, by_day: bool, before: bool) -> None:
    noon = datetime(2026, 1, 5, 4, tzinfo=UTC)
    at = datetime(2026, 1, 5, hour, 59, tzinfo=UTC)
    assert is_not_after(at, noon, by_day=by_day, zone=SHANGHAI) is before
    assert is_not_before(at, noon, by_day=by_day, zone=SHANGHAI)
