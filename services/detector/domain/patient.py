"""One step for one patient: what was known, what has come, the rules and a time give what is known and what is said.

Law: what stands is a function of (facts, `now`); the order in which facts arrive decides nothing. The newest report
costs the same whatever the length of the history; anything else is folded again from the history.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from services.detector.domain.calcium import INVOLVED, SPAN, TOTAL, with_derived
from services.detector.domain.course import extend, fold
from services.detector.domain.facts import Moment, Record, in_order, standing_results
from services.detector.domain.fold import DAY, Setting
from services.detector.domain.ledger import Ledger, Speaker
from services.detector.domain.results import placed_at
from services.detector.domain.rules import Rulebook
from services.detector.domain.state import Accumulator
from services.detector.domain.statements import Effect
from services.detector.domain.values import (
    Enrolment,
    Event,
    LabReport,
    LabResult,
    PatientMerged,
    PatientRef,
    Precision,
    ResultId,
)
from services.detector.domain.versions import kept_versions, may_move

TOLERATED_SKEW = timedelta(minutes=5)
"""Between the clocks of ingest and detector: what was received a moment "ahead" of `now` exists."""

IDENTITY_CONFLICT = "identity_conflict"
MERGE_UNSUPPORTED = "merge_unsupported"


class NeedsHistory(Exception):
    """The step cannot be made from the head alone: load all earlier facts of the patient and ask again."""


@dataclass(frozen=True, slots=True)
class Head:
    """What is kept of a patient between steps; its size does not depend on the length of the history.

    `corrected_orders`: orders with a correction that may stand for a result of theirs that has yet to arrive.
    `before` holds everything but the newest moment, `newest` all versions of that moment's results. `is_sealed`: the
    newest moment holds more than results and is in `before` already. `next_fact_at`: when a fact that lies in the
    future begins to exist. `after`: `before` with the newest moment, where it is at hand; it follows from the others,
    need not be stored, and saves the next step from making it again.
    """

    patient_ref: PatientRef
    as_of: datetime
    rules: str = ""
    record: Record = field(default_factory=Record)
    before: Accumulator = field(default_factory=Accumulator)
    newest_at: datetime | None = None
    newest: tuple[LabResult, ...] = ()
    is_sealed: bool = False
    next_fact_at: datetime | None = None
    corrected_orders: tuple[str, ...] = ()
    ledger: Ledger = field(default_factory=Ledger)
    after: Accumulator | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Decision:
    """The outcome of a step.

    `facts`: the given events, to be stored as fact rows (also those that a mismatch keeps from counting: a corrected
    registry restores them). `dead`: events that did not count, with the reason, for the dead-letter topic.
    `wake_at`: when to ask again if nothing comes, by `decide(head, (), ...)`; None: nothing is due.
    """

    head: Head
    effects: tuple[Effect, ...] = ()
    wake_at: datetime | None = None
    facts: tuple[Event, ...] = ()
    dead: tuple[tuple[Event, str], ...] = ()


def needs_history(head: Head | None, events: Sequence[Event], *, known_results: Collection[ResultId]) -> bool:
    """Tell whether `decide` needs the earlier facts; `known_results` are those of `events` already stored.

    A False is a good guess: `decide` still raises NeedsHistory where only `now` or the rules show the need.
    """
    if head is None:
        return False
    if not head.record.is_monitored():
        return any(isinstance(event, Enrolment) for event in events)
    if any(not isinstance(event, LabReport) for event in events):
        return True
    results = [result for report in _counting(head.record, events) for result in report.results]
    known_here = {result.result_id for result in head.newest}
    if any(result.result_id in known_results and result.result_id not in known_here for result in results):
        return True
    return not _extends(head, results)


def _counting(record: Record, events: Iterable[Event]) -> list[LabReport]:
    return [event for event in events if isinstance(event, LabReport) and not record.contradicts(event)]


def _is_bare_date_of_the_dose(record: Record, result: LabResult, at: datetime) -> bool:
    """Such a result may be a baseline of what came before it in the order of moments."""
    dose_at = record.dose_at
    by_day = record.dose_by_day or result.collected_precision is Precision.DAY
    return dose_at is not None and by_day and dose_at < at <= dose_at + DAY


def _extends(head: Head, results: Sequence[LabResult]) -> bool:
    """Return whether the results only add to the newest moment or come after it."""
    newest_at = head.newest_at
    known_here = {result.result_id for result in head.newest}
    for result in results:
        at = placed_at(result)
        if newest_at is not None and (at < newest_at or (head.is_sealed and at == newest_at)):
            return False
        if result.result_id in known_here and at != newest_at:
            return False
        if newest_at is not None and _is_bare_date_of_the_dose(head.record, result, at):
            return False
        if result.order_key in head.corrected_orders or (may_move(result) and result.result_id not in known_here):
            return False
    return True


def decide(
    head: Head | None, events: Sequence[Event], *, history: Sequence[Event] | None, rules: Rulebook, now: datetime
) -> Decision:
    """Take `events` (none: a time step) into account at `now` and say what follows.

    `head` None: nothing is known of the patient. `history`: all facts stored earlier, in any order; None: not loaded.
    Without history the results of `events` are taken for new ones, as `needs_history` has told.
    Raises NeedsHistory where it was not loaded and is needed.
    """
    if head is None:
        if not events:
            message = "a patient without head has nothing due"
            raise ValueError(message)
        head = Head(events[0].patient_ref, now, rules.fingerprint)
        history = history or ()
    now = max(now, head.as_of, *(e.received_at for e in events if e.received_at - now <= TOLERATED_SKEW))
    if history is not None:
        return _refold(head, (*history, *events), events, rules, now)
    return _extend(head, events, rules, now)


def _extend(head: Head, events: Sequence[Event], rules: Rulebook, now: datetime) -> Decision:
    """Take the newest reports, or only the time, into account from what the head holds."""
    if head.next_fact_at is not None and head.next_fact_at <= now:
        raise NeedsHistory
    if not head.record.is_monitored():
        return _unmonitored(head, events, rules, now)
    if head.rules != rules.fingerprint:
        raise NeedsHistory
    if any(not isinstance(event, LabReport) for event in events):
        raise NeedsHistory
    reports = _counting(head.record, events)
    existing = [result for report in reports if report.received_at <= now for result in report.results]
    results = [result for result in existing if placed_at(result) <= now]
    if not _extends(head, results):
        raise NeedsHistory
    setting = Setting(head.record, rules, {})
    grown, after = _grow(head, results, setting)
    later = [placed_at(result) for result in existing if placed_at(result) > now]
    later.extend(report.received_at for report in reports if report.received_at > now)
    if head.next_fact_at is not None:
        later.append(head.next_fact_at)
    moving = {result.order_key for result in existing if result.order_key is not None and may_move(result)}
    orders = tuple(sorted({*head.corrected_orders, *moving})) if moving else head.corrected_orders
    grown = replace(grown, as_of=now, next_fact_at=min(later, default=None), corrected_orders=orders)
    return _speak(grown, after, events, rules, now, _conflicting(head.record, events))


def _conflicting(record: Record, events: Iterable[Event]) -> tuple[tuple[Event, str], ...]:
    return tuple(
        (event, IDENTITY_CONFLICT) for event in events if isinstance(event, LabReport) and record.contradicts(event)
    )


def _grow(head: Head, results: Sequence[LabResult], setting: Setting) -> tuple[Head, Accumulator]:
    """Add results at or after the newest moment, moment by moment; return also everything accumulated."""
    by_time: dict[datetime, list[LabResult]] = {}
    for result in results:
        by_time.setdefault(placed_at(result), []).append(result)
    before, newest_at, newest, sealed = head.before, head.newest_at, head.newest, head.is_sealed
    at_hand = head.after
    if newest_at is not None and newest_at in by_time:
        newest, at_hand = kept_versions((*newest, *by_time.pop(newest_at))), None
    if sealed or newest_at is None:
        after = before
    else:
        after = at_hand or extend(before, _moment(newest_at, newest, before), setting)
    for at in sorted(by_time):
        before, newest_at, newest, sealed = after, at, kept_versions(by_time[at]), False
        after = extend(before, _moment(at, newest, before), setting)
    return replace(head, before=before, newest_at=newest_at, newest=newest, is_sealed=sealed, after=after), after


def _moment(at: datetime, versions: tuple[LabResult, ...], before: Accumulator) -> Moment:
    """Return the moment that these versions make after what came before. Raises NeedsHistory.

    An albumin or a reported corrected calcium may change what an earlier total calcium within 2 h is taken for.
    """
    results = in_order(standing_results(versions))
    if any(placed_at(result) != at for result in results):
        raise NeedsHistory
    if not any(result.analyte in INVOLVED for result in results):
        return Moment(at, results)
    near = [old for old in before.calcium if at - placed_at(old) <= SPAN]
    if any(old.analyte == TOTAL for old in near) and any(result.analyte != TOTAL for result in results):
        raise NeedsHistory
    return Moment(at, with_derived(results, near))


def _unmonitored(head: Head, events: Sequence[Event], rules: Rulebook, now: datetime) -> Decision:
    """Keep the facts and say nothing, but for what a change of the registry's status still clears."""
    if any(isinstance(event, Enrolment) for event in events):
        raise NeedsHistory
    head = replace(head, as_of=now, rules=rules.fingerprint)
    return _speak(head, Accumulator(), events, rules, now, _conflicting(head.record, events))


def _refold(head: Head, known: Sequence[Event], new: Sequence[Event], rules: Rulebook, now: datetime) -> Decision:
    """Fold everything again; the ledger alone is carried on."""
    folded = fold(known, rules, now)
    facts, newest = folded.facts, folded.newest
    sealed = newest is not None and bool(newest.gradings or newest.acts)
    names = {event.event_id for event in new}
    dead = tuple(
        (report, IDENTITY_CONFLICT)
        for report in facts.conflicting
        if report.event_id in names or not head.record.contradicts(report)
    )
    grown = Head(
        head.patient_ref, now, rules.fingerprint, facts.record,
        folded.after if sealed else folded.before,
        newest.at if newest is not None else None,
        () if sealed else kept_versions(facts.newest_versions),
        sealed, facts.next_at, facts.corrected_orders, head.ledger, folded.after,
    )  # fmt: skip
    return _speak(grown, folded.after, new, rules, now, dead)


def _speak(
    head: Head,
    after: Accumulator,
    events: Sequence[Event],
    rules: Rulebook,
    now: datetime,
    dead: tuple[tuple[Event, str], ...],
) -> Decision:
    speaker = Speaker(head.patient_ref, head.ledger, head.record, after, rules, now)
    plan_at = speaker.speak(monitored=head.record.is_monitored())
    merges = tuple((event, MERGE_UNSUPPORTED) for event in events if isinstance(event, PatientMerged))
    wake_at = min((at for at in (plan_at, head.next_fact_at) if at is not None), default=None)
    return Decision(
        replace(head, ledger=speaker.ledger()), tuple(speaker.effects), wake_at, tuple(events), (*dead, *merges)
    )
