"""Read the messages of the detector, as they lie in the store, into the values that messages and pages show."""

from collections.abc import Iterable

from schemas.alert_v1 import Alert, Input
from schemas.base import Precision
from schemas.retest_v1 import RetestPlan
from services.notifier.domain.evidence import AlertView, Baseline, PlanView, Reading, Told, Wording
from services.notifier.domain.values import Action


def alert_view(
    alert: Alert, *, before: Alert | None = None, plan: RetestPlan | None = None, told: Iterable[Told] = ()
) -> AlertView:
    """Return what a reader sees of an alert. `before`: the message about it that was told last before this one."""
    return AlertView(
        alert_id=alert.alert_id,
        seq=alert.seq,
        action=Action(alert.action),
        reason=alert.reason,
        wording=Wording(alert.wording),
        patient_ref=alert.patient_ref,
        rule_id=alert.rule_id,
        rule_version=alert.rule_version,
        urgency=alert.urgency,
        level=alert.level,
        decided_at=alert.decided_at,
        arm=alert.arm,
        episode_id=alert.episode_id,
        organ=alert.organ,
        reading=_reading(alert),
        baseline=Baseline(alert.baseline.kind, alert.baseline.value, alert.baseline.collected_at),
        fold=alert.fold,
        ctcae_version=alert.ctcae_version,
        grade=alert.grade,
        baseline_grade=alert.baseline_grade,
        inputs=tuple(_input(one, alert) for one in alert.inputs),
        missing=alert.missing,
        notes=alert.notes,
        series=tuple(
            Reading(alert.analyte or "", one.value, one.comparator, alert.unit, one.collected_at)
            for one in alert.series
            if one.usable
        ),
        clears_when=alert.clears_when,
        late=alert.late,
        known_since=alert.known_since,
        sources=alert.sources,
        before=None if before is None else alert_view(before),
        plan=None if plan is None else plan_view(plan),
        told=tuple(told),
    )


def plan_view(plan: RetestPlan, *, told: Iterable[Told] = ()) -> PlanView:
    """Return what a reader sees of a retest plan."""
    return PlanView(
        plan_id=plan.plan_id,
        patient_ref=plan.patient_ref,
        kind=plan.kind,
        status=plan.status,
        due_at=plan.due_at,
        overdue_at=plan.overdue_at,
        draw=plan.draw,
        minimum_draws=plan.minimum_draws,
        missing=plan.missing,
        pending=plan.pending,
        reason=plan.reason,
        late=plan.late,
        told=tuple(told),
    )


def _reading(alert: Alert) -> Reading | None:
    if alert.analyte is None or alert.value is None:
        return None
    return Reading(
        analyte=alert.analyte,
        value=alert.value,
        comparator=alert.comparator,
        unit=alert.unit,
        collected_at=alert.collected_at,
        by_day=alert.collected_precision is Precision.DAY,
        reference_low=alert.reference_low,
        reference_high=alert.reference_high,
    )


def _input(one: Input, alert: Alert) -> Reading:
    return Reading(
        analyte=one.analyte,
        value=one.value,
        comparator=one.comparator,
        unit=one.unit,
        collected_at=one.collected_at,
        by_day=alert.collected_precision is Precision.DAY and one.collected_at == alert.collected_at,
        reference_low=one.reference_low,
        reference_high=one.reference_high,
        remarks=one.remarks,
    )
