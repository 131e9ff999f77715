"""Write out an alert with everything a reader needs to judge it: value, limits, baseline, series, what clears it.

Law: self-contained. A reader of one alert needs no other message, and no identifier is in it.
"""

from datetime import datetime, timedelta
from decimal import Decimal

from services.detector.domain.baseline import Baseline, fold_base
from services.detector.domain.facts import Record
from services.detector.domain.recovery import recovery_set
from services.detector.domain.results import placed_at
from services.detector.domain.rules import CtcaeTerm, Rulebook
from services.detector.domain.state import Accumulator, Evidence, Standing
from services.detector.domain.statements import (
    Action,
    Alert,
    BaselineShown,
    Input,
    Point,
    Urgency,
    Wording,
)
from services.detector.domain.values import Arm, Comparator, LabResult, PatientRef

TWO_PLACES = Decimal("0.01")


def compose(
    standing: Standing,
    acc: Accumulator,
    record: Record,
    rules: Rulebook,
    *,
    ref: PatientRef,
    seq: int,
    action: Action,
    reason: str,
    alert_id: str,
    episode_id: str | None,
    supersedes: int | None,
    now: datetime,
) -> Alert:
    """Return the alert that says what stands of one rule."""
    rule = rules.rules[standing.rule_id]
    routing = rule.routing
    evidence = standing.evidence
    result = evidence.result
    late = is_late(standing, acc, rules.retest.known_since_after)
    return Alert(
        alert_id=alert_id,
        seq=seq,
        action=action,
        reason=reason,
        wording=Wording.IRAE_SUSPECTED if record.arm is Arm.IMMUNOTHERAPY else Wording.AE_POSSIBLE,
        patient_ref=ref,
        arm=record.arm,
        episode_id=episode_id,
        rule_id=standing.rule_id,
        rule_version=routing.version,
        mode=routing.mode,
        urgency=standing.urgency,
        level=standing.level,
        organ=routing.organ,
        roles=routing.roles,
        analyte=result.analyte,
        value=result.value,
        comparator=result.comparator,
        unit=result.unit,
        collected_at=evidence.at,
        collected_precision=result.collected_precision,
        reference_low=evidence.low,
        reference_high=evidence.high,
        baseline=_shown(evidence.baseline),
        fold=_fold(result, evidence.baseline),
        ctcae_version=rule.ctcae_version if isinstance(rule, CtcaeTerm) else None,
        grade=evidence.grade,
        baseline_grade=evidence.baseline_grade,
        inputs=(_input(evidence),),
        missing=_missing(evidence),
        notes=evidence.notes,
        series=_series(acc, result.analyte),
        clears_when=_clears_when(standing, acc, rules),
        late=late,
        known_since=evidence.at if late else None,
        sources=(result.source,) if result.source else (),
        decided_at=now,
        supersedes=supersedes,
    )


def is_late(standing: Standing, acc: Accumulator, after: timedelta) -> bool:
    """Return whether the flag is told as "known since" and does not page (RULES.md 4.8).

    Late is a backfilled result or one received more than 72 h after its collection; it pages all the same if it is P1
    and still the newest of its analyte.
    """
    result = standing.evidence.result
    if not result.backfill and result.received_at - placed_at(result) <= after:
        return False
    series = acc.series.get(result.analyte)
    is_newest = not series or standing.evidence.at >= series[-1][0]
    return not (standing.urgency is Urgency.P1 and is_newest)


def _shown(baseline: Baseline | None) -> BaselineShown:
    if baseline is None:
        return BaselineShown()
    return BaselineShown(baseline.kind, baseline.value, baseline.collected_at)


def _fold(result: LabResult, baseline: Baseline | None) -> str | None:
    """For display only; a bound has no fold."""
    base = fold_base(baseline)
    if base is None or result.value is None or result.comparator is not None or result.value < 0:
        return None
    return format((result.value / base).quantize(TWO_PLACES), "f")


def _input(evidence: Evidence) -> Input:
    result = evidence.result
    assert result.value is not None
    return Input(
        result.analyte, result.value, evidence.at, result.comparator, result.unit, evidence.low, evidence.high,
        result.result_id, result.remarks,
    )  # fmt: skip


def _missing(evidence: Evidence) -> tuple[str, ...]:
    """Name the inputs the judgement had to do without."""
    missing = [] if evidence.baseline is not None else ["baseline"]
    if evidence.low is None and evidence.high is None:
        missing.append("reference-limits")
    return tuple(missing)


def _series(acc: Accumulator, analyte: str) -> tuple[Point, ...]:
    return tuple(
        Point(at, value, Comparator(comparator) if comparator else None, usable)
        for at, value, comparator, usable in acc.series.get(analyte, ())
    )


def _clears_when(standing: Standing, acc: Accumulator, rules: Rulebook) -> str:
    phase = acc.phase
    if phase is None or phase.ended is not None:
        return f"a clear result of {', '.join(standing.inputs)}, or a closure by a named person"
    return (
        f"at least {rules.recovery.minimum_draws} draws, {', '.join(recovery_set(phase))} recovered for "
        f"{rules.recovery.run.total_seconds() / 3600:g} h, or a closure by a named person"
    )
