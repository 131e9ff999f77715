import threading

import pytest

from services.common.watchdog import Judge, Patience, Sight, Watchdog

PATIENCE = Patience(silent=30, stuck=50, unknown=75)


def watched(judge: Judge, sights: list[tuple[float, Sight]]) -> list[str]:
    return [verdict for now, sight in sights if (verdict := judge.verdict(sight, now)) is not None]


def each_second(until: int, **sight: object) -> list[tuple[float, Sight]]:
    return [(float(now), Sight(beat=float(now), **sight)) for now in range(until + 1)]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("until", "ends"),
    [pytest.param(50, False, id="exactly as long as patience lasts"), pytest.param(51, True, id="a second longer")],
)
def test_work_that_waits_without_progress_ends_the_process(until: int, ends: bool) -> None:
    said = watched(Judge(PATIENCE), each_second(until, behind={"partition 3": 17}))
    assert bool(said) is ends
    assert not ends or "partition 3" in said[0]


def test_any_progress_renews_patience() -> None:
    sights = [(float(n), Sight(beat=float(n), behind={"partition 3": n // 40})) for n in range(300)]
    assert watched(Judge(PATIENCE), sights) == []


def test_a_loop_that_does_not_turn_is_seen() -> None:
    sights = [(float(n), Sight(beat=0.0)) for n in range(32)]
    assert watched(Judge(PATIENCE), sights) == ["the event loop has not turned for 31 s"]


def test_an_assignment_that_stays_unknown_ends_the_process() -> None:
    assert watched(Judge(PATIENCE), each_second(75, unknown="positions are unknown")) == []
    assert watched(Judge(PATIENCE), each_second(76, unknown="positions are unknown")) != []


def test_a_trouble_that_is_seen_and_retried_is_no_standstill() -> None:
    away = each_second(1000, behind={"partition 3": 17}, unknown="positions", excused="the database is away")
    assert watched(Judge(PATIENCE), away) == []


def test_a_process_that_was_itself_stopped_starts_with_new_patience() -> None:
    before = each_second(45, behind={"partition 3": 17})
    after = [(now + 600, Sight(beat=45.0, behind={"partition 3": 17})) for now, _ in each_second(29)]
    assert watched(Judge(PATIENCE), [*before, *after]) == []


def test_an_excuse_gives_new_patience_and_without_one_the_process_ends() -> None:
    ended: list[str] = []
    excuses: list[str | None] = ["no broker can be reached", None]
    dog = Watchdog(
        lambda: Sight(beat=float(clock[0]), behind={"outbox": 1}),
        judge=Judge(PATIENCE),
        excuse=lambda: excuses.pop(0),
        end=ended.append,
    )
    clock = [0]
    for now in range(52):
        clock[0] = now
        dog.check(float(now))
    assert ended == []
    for now in range(52, 104):
        clock[0] = now
        dog.check(float(now))
    assert ended == ["no progress for 50 s: outbox"]


def test_the_thread_looks_until_it_is_stopped() -> None:
    looked = threading.Event()

    def look() -> Sight:
        looked.set()
        return Sight(beat=float("inf"))

    dog = Watchdog(look)
    dog.start()
    assert looked.wait(10)
    dog.stop()
    dog.join(10)
    assert not dog.is_alive()
