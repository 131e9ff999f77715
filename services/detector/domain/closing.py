"""A closure by a named person covers what had been received by then, and no more (RULES.md 4.6).

Law: what the person saw is not told again; what was in transit is told at once.
"""

from dataclasses import dataclass
from datetime import datetime

from services.detector.domain import episode
from services.detector.domain.rules import Rulebook
from services.detector.domain.state import Accepted, Course, Evaluated, Evaluation, GradedFlag, ScopeEnd
from services.detector.domain.values import EpisodeClosed

Seen = dict[tuple[str, datetime], int]


@dataclass(frozen=True, slots=True)
class Closing:
    """What a closure found, judged on the facts received by its time. `seen`: the level per rule and instant.

    `found` False: nothing was open then, the closure changes nothing. `standing`: the rules that stood.
    """

    found: bool
    newest: dict[str, Evaluated]
    graded: dict[str, int]
    standing: tuple[str, ...]
    seen: Seen
    seen_graded: Seen


def found_by(course: Course, act: EpisodeClosed) -> Closing:
    """Return what the closure found; `course` is folded from the facts received by `act.at`, up to that time."""
    if act.rule_id is None:
        found = course.open_phase() is not None
    else:
        found = course.open_phase() is None and act.rule_id in course.standing
    log = course.log or []
    return Closing(
        found,
        dict(course.newest),
        {name: event.grade for name, event in course.events.items()},
        tuple(course.standing),
        {(entry.rule_id, entry.at): entry.level for entry in log if isinstance(entry, Evaluation)},
        {(entry.adverse_event_id, entry.at): entry.grade for entry in log if isinstance(entry, GradedFlag)},
    )


def close(course: Course, act: EpisodeClosed, closing: Closing, rules: Rulebook) -> None:
    """End the scope that the closure found, accept what stood in its time, and place after it what it did not see."""
    if not closing.found:
        return
    end = ScopeEnd(act.at, act.outcome)
    if act.rule_id is None:
        for rule_id in closing.standing:
            course.ended[rule_id] = end
        episode.end_phase(course, end, closing.newest, closing.graded)
    else:
        _close_watch(course, act.rule_id, end, closing)
    _place_unseen(course, act, closing, rules)


def _close_watch(course: Course, rule_id: str, end: ScopeEnd, closing: Closing) -> None:
    episode.end_watch(course, rule_id, end)
    last = closing.newest.get(rule_id)
    if last is None:
        course.accepted.pop(rule_id, None)
    else:
        course.accepted[rule_id] = Accepted(last.level, last.at, last.inputs)


def _place_unseen(course: Course, act: EpisodeClosed, closing: Closing, rules: Rulebook) -> None:
    """Judge again, on all facts, everything up to the closure."""
    log = course.log or []
    flags = [
        entry
        for entry in log
        if isinstance(entry, Evaluation)
        and act.rule_id in (None, entry.rule_id)
        and entry.level > closing.seen.get((entry.rule_id, entry.at), 0)
        and episode.is_flag(course, entry)
    ]
    episode.take_flags(course, flags, act.at, rules)
    if act.rule_id is not None:
        return
    for entry in log:
        if not isinstance(entry, GradedFlag):
            continue
        seen = closing.seen_graded.get((entry.adverse_event_id, entry.at), 0)
        if entry.grade > max(course.events[entry.adverse_event_id].accepted, seen):
            episode.join_graded(course, entry, act.at, rules)
