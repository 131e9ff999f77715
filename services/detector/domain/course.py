"""Fold the moments of a patient into one accumulator, from nothing or from the newest moment on.

Law: adding the newest moment to what was kept equals folding everything again.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from services.detector.domain.closing import Closing, found_by
from services.detector.domain.facts import Facts, Moment, facts_of, received_by
from services.detector.domain.fold import Setting, add, begin
from services.detector.domain.rules import Rulebook
from services.detector.domain.state import Accumulator, Course
from services.detector.domain.values import EpisodeClosed, Event


@dataclass(frozen=True, slots=True)
class Folded:
    """`before`: everything but the newest moment; `after`: everything; `newest`: the newest moment itself."""

    facts: Facts
    before: Accumulator
    after: Accumulator
    newest: Moment | None


def fold(events: Sequence[Event], rules: Rulebook, now: datetime) -> Folded:
    """Fold all facts of a patient that exist at `now`."""
    facts = facts_of(events, now)
    if not facts.record.is_monitored():
        return Folded(facts, Accumulator(), Accumulator(), facts.moments[-1] if facts.moments else None)
    return _fold(facts, rules, _closings(events, rules, now))


def _fold(facts: Facts, rules: Rulebook, closings: dict[str, Closing]) -> Folded:
    course = _course(closings)
    setting = Setting(facts.record, rules, closings)
    if not facts.moments:
        empty = course.freeze()
        return Folded(facts, empty, empty, None)
    begin(course, facts.moments, setting)
    for moment in facts.moments[:-1]:
        add(course, moment, setting)
    before = course.freeze()
    newest = facts.moments[-1]
    add(course, newest, setting)
    return Folded(facts, before, course.freeze(), newest)


def _course(closings: dict[str, Closing]) -> Course:
    course = Course(Accumulator())
    if closings:
        course.log = []
    return course


def _closings(events: Sequence[Event], rules: Rulebook, now: datetime) -> dict[str, Closing]:
    """Return what each closure found, in their order: a later one is judged with the earlier ones in effect."""
    acts = sorted(
        (event for event in events if isinstance(event, EpisodeClosed) and event.at <= now),
        key=lambda act: (act.at, act.event_id),
    )
    found: dict[str, Closing] = {}
    for number, act in enumerate(acts):
        facts = facts_of([*received_by(events, act.at), *acts[:number]], act.at)
        course = Course(Accumulator())
        course.log = []
        setting = Setting(facts.record, rules, found)
        if facts.record.is_monitored():
            begin(course, facts.moments, setting)
            for moment in facts.moments:
                add(course, moment, setting)
        found[act.event_id] = found_by(course, act)
    return found


def extend(before: Accumulator, newest: Moment, facts_record: Setting) -> Accumulator:
    """Add one moment without acts to what came before it."""
    course = Course(before)
    add(course, newest, facts_record)
    return course.freeze()
