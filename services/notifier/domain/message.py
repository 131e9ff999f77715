"""Compose what a person is told: alert, overdue retest or digest, for a PHI tier, in a language.

Pure: values in, a letter out; `adapters/templates.py` turns the letter into plain text and HTML. Law: a page carries
number, urgency and call-back only; a subject identifies nobody; a name or an MRN is not even an input; the word irAE
stands only where the patient's arm allows it; nothing is claimed, everything "suggests, to be judged".
"""

import re
from dataclasses import dataclass
from typing import assert_never

from services.notifier.domain.evidence import (
    AlertView,
    DigestView,
    PlanView,
    Reading,
    Told,
    Wording,
    alert_number,
)
from services.notifier.domain.sentences import because_text, clears_text
from services.notifier.domain.values import Action, Tier
from services.notifier.domain.words import Words

PAGE_CHARACTERS = 160
SUBJECT_CHARACTERS = 78
CALL_BACK_CHARACTERS = 40
TREND_POINTS = 6
TABLE_ROWS = 40
"""A message longer than this is not read; what is left out is counted in words."""

IRAE = re.compile(r"ir-?AEs?\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Message:
    """A message ready to leave. `html` is empty on channels that show text only."""

    subject: str
    text: str
    html: str = ""


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of cells under a heading of the same width."""

    title: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class Letter:
    """A message before it is laid out. Empty parts are left out."""

    subject: str
    urgency: str
    badge: str
    headline: str
    lead: tuple[str, ...]
    before_title: str = ""
    before: tuple[str, ...] = ()
    """What was said before this."""
    facts: tuple[tuple[str, str], ...] = ()
    tables: tuple[Table, ...] = ()
    link: str | None = None
    link_text: str = ""
    link_note: str = ""
    closing: tuple[str, ...] = ()
    is_over: bool = False
    """Nothing is left to be done about it."""


View = AlertView | PlanView | DigestView


def compose(view: View, *, tier: Tier, words: Words, ack_url: str | None = None, call_back: str = "") -> Letter:
    """Return the letter about `view`; on the page tier its whole content is the subject.

    `ack_url` is shown only where something is left to acknowledge. `call_back` is a telephone number or a place.
    """
    if tier is Tier.PAGE:
        return _page(view, words, call_back)
    match view:
        case AlertView():
            return _alert(view, words, ack_url, call_back)
        case PlanView():
            return _overdue(view, words, call_back)
        case DigestView():
            return _digest(view, words)
        case _:
            assert_never(view)


def bounded(text: str, characters: int) -> str:
    """Return the text on one line, cut visibly if it is longer."""
    line = " ".join(text.split())
    return line if len(line) <= characters else line[: characters - 1].rstrip() + "…"


def rule_title(alert: AlertView, words: Words) -> str:
    """Return what the rule saw, with its level or grade, in words."""
    title = words.name("rule", alert.rule_id)
    if words.knows("level", f"{alert.rule_id}.{alert.level}"):
        return words.say("form", "titled", title=title, level=words.name("level", f"{alert.rule_id}.{alert.level}"))
    if alert.grade is not None:
        return words.say("form", "titled", title=title, level=words.say("form", "grade", grade=alert.grade))
    return title


def reason_text(alert: AlertView, words: Words) -> str:
    """Return why this is said, in words the arm allows."""
    if alert.wording is Wording.AE_POSSIBLE and IRAE.fullmatch(alert.reason):
        return words.say("reason", "adverse-event")
    return spoken(words.name("reason", alert.reason), alert.wording)


def spoken(text: str, wording: Wording) -> str:
    """Return free text without the word irAE where the arm does not allow it."""
    return text if wording is Wording.IRAE_SUSPECTED else IRAE.sub("AE", text)


def _page(view: View, words: Words, call_back: str) -> Letter:
    back = bounded(call_back, CALL_BACK_CHARACTERS)
    call = words.say("page", "call", call_back=back) if back else words.say("page", "worklist")
    match view:
        case AlertView():
            urgency, number = view.urgency, alert_number(view.alert_id)
            what = words.say("page", view.action, number=number, urgency=view.urgency, pace=_pace(view.urgency, words))
        case PlanView():
            urgency = "P3"
            what = words.say("page", "overdue", number=alert_number(view.plan_id))
        case DigestView():
            urgency = "P4"
            what = words.say("page", "digest", count=len(view.alerts) + len(view.plans))
        case _:
            assert_never(view)
    text = bounded(words.say("page", "joined", what=what, call=call), PAGE_CHARACTERS)
    return Letter(subject=text, urgency=urgency, badge="", headline=text, lead=())


def _pace(urgency: str, words: Words) -> str:
    return words.name("pace", urgency)


def _alert(alert: AlertView, words: Words, ack_url: str | None, call_back: str) -> Letter:
    number = alert_number(alert.alert_id)
    organ = words.name("organ", alert.organ or "unknown")
    badge = words.say("badge", alert.action, urgency=alert.urgency, pace=_pace(alert.urgency, words))
    subject = words.say("subject", alert.action, badge=badge, organ=organ, number=number)
    return Letter(
        subject=bounded(subject, SUBJECT_CHARACTERS),
        urgency=alert.urgency,
        badge=badge,
        headline=rule_title(alert, words),
        lead=_lead(alert, words),
        before_title=words.say("mail", "before"),
        before=_before(alert, words),
        facts=_facts(alert, words),
        tables=_tables(alert, words),
        link=None if alert.action.ends else ack_url,
        link_text=words.say("mail", "acknowledge"),
        link_note=words.say("mail", f"acknowledge_{alert.urgency}"),
        closing=_closing(alert, words, number, call_back),
        is_over=alert.action.ends,
    )


def _lead(alert: AlertView, words: Words) -> tuple[str, ...]:
    """Say first what happened and what it may mean."""
    said = [words.say("lead", alert.action, reason=reason_text(alert, words), **_then(alert, words))]
    if not alert.action.ends:
        said.append(words.say("judge", alert.wording))
    if alert.late and alert.known_since is not None:
        said.append(words.say("mail", "known_since", at=words.time(alert.known_since)))
    elif alert.late:
        said.append(words.say("mail", "late"))
    if alert.is_delayed:
        said.append(words.say("mail", "decided", at=words.time(alert.decided_at)))
    return tuple(said)


def _then(alert: AlertView, words: Words) -> dict[str, str]:
    """Name the message this one follows."""
    before = alert.before
    return {"then": words.time(before.decided_at) if before else words.say("mail", "earlier")}


def _before(alert: AlertView, words: Words) -> tuple[str, ...]:
    """Repeat what was said before, where it no longer stands as it was."""
    before = alert.before
    if before is None or alert.action is Action.RAISED:
        return ()
    said = words.say("mail", "said", at=words.time(before.decided_at), title=rule_title(before, words))
    lines = [f"{said} ({before.urgency})"]
    if before.reading is not None:
        lines.append(words.say("mail", "said_value", value=_named(before.reading, words)))
    lines.append(words.say("stands", alert.action))
    return tuple(lines)


def _named(reading: Reading, words: Words) -> str:
    shown = f"{words.name('analyte', reading.analyte)} {words.reading(reading)}"
    if reading.collected_at is None:
        return shown
    at = words.time(reading.collected_at, by_day=reading.by_day)
    return words.say("form", "at", what=shown, at=at)


def _facts(alert: AlertView, words: Words) -> tuple[tuple[str, str], ...]:
    rows = [("patient", alert.patient_ref), ("arm", words.name("arm", alert.arm or "unknown"))]
    if alert.action.ends and alert.before is not None:
        return tuple((words.name("label", key), value) for key, value in rows)
    if alert.reading is not None:
        rows += _reading_facts(alert, alert.reading, words)
    if len(alert.series) > 1:
        rows.append(("trend", trend_text(alert, words)))
    if alert.grade is not None:
        rows.append(("grade", grade_text(alert, words)))
    if alert.clears_when:
        rows.append(("clears", spoken(clears_text(alert.clears_when, words), alert.wording)))
    if alert.missing:
        rows.append(("missing", _missing(alert, words)))
    if alert.notes:
        rows.append(("notes", spoken(words.names("note", alert.notes), alert.wording)))
    if alert.plan is not None and not alert.action.ends:
        rows.append(("retest", plan_text(alert.plan, words)))
    return tuple((words.name("label", key), value) for key, value in rows)


def _missing(alert: AlertView, words: Words) -> str:
    """Name what the judgement had to do without: analytes, a baseline, limits."""
    named = [words.name("missing" if words.knows("missing", key) else "analyte", key) for key in alert.missing]
    return words.say("form", "comma").join(named)


def _reading_facts(alert: AlertView, reading: Reading, words: Words) -> list[tuple[str, str]]:
    rows = [("value", f"{words.name('analyte', reading.analyte)} {words.reading(reading)}")]
    if reading.collected_at is not None:
        rows.append(("collected", words.time(reading.collected_at, by_day=reading.by_day)))
    rows += [("limits", words.limits(reading)), ("baseline", baseline_text(alert, words))]
    if alert.fold is not None:
        rows.append(("fold", words.say("form", "fold", fold=alert.fold)))
    return rows


def baseline_text(alert: AlertView, words: Words) -> str:
    """Return the baseline with date and kind, or that there is none."""
    baseline = alert.baseline
    if baseline.kind == "none" or baseline.value is None:
        return words.say("form", "no_baseline")
    value = words.amount(baseline.value, alert.reading.unit if alert.reading else None)
    day = words.day(baseline.collected_at) if baseline.collected_at else words.say("form", "no_date")
    return words.say("form", "baseline", value=value, day=day, kind=words.name("baseline", baseline.kind))


def grade_text(alert: AlertView, words: Words) -> str:
    """Return the CTCAE grade beside the grade of the baseline."""
    at_baseline = "–" if alert.baseline_grade is None else alert.baseline_grade
    version = alert.ctcae_version or "5.0"
    return words.say("form", "graded", version=version, grade=alert.grade, baseline=at_baseline)


def trend_text(alert: AlertView, words: Words) -> str:
    """Return the newest values of the series, oldest first, in the unit of the alert's value."""
    points = [
        words.say("form", "point", value=words.amount(one.value, None, one.comparator), day=words.day(one.collected_at))
        for one in alert.series[-TREND_POINTS:]
        if one.collected_at is not None
    ]
    return words.say("form", "then").join(points)


def plan_text(plan: PlanView, words: Words) -> str:
    """Return what is to be drawn next and until when."""
    return words.say(
        "form",
        "retest",
        due=words.time(plan.due_at),
        overdue=words.time(plan.overdue_at),
        draw=plan.draw,
        minimum=plan.minimum_draws,
    )


def told_text(told: Told, words: Words) -> str:
    """Return one person told, or why somebody was not."""
    role = words.name("role", told.role)
    who = words.say("form", "person", name=told.name, role=role) if told.name and role else told.name or role
    result = words.name("result", told.result)
    if told.reason and told.result == "not-told":
        result = words.say("form", "pair", label=result, value=because_text(told.reason, words))
    return f"{who} – {result}"


def _tables(alert: AlertView, words: Words) -> tuple[Table, ...]:
    tables = []
    if alert.inputs and not alert.action.ends:
        rows = tuple(_input_row(reading, words) for reading in alert.inputs[:TABLE_ROWS])
        head = _heads(words, "analyte", "value", "limits", "collected")
        tables.append(Table(words.say("mail", "inputs"), head, rows))
    if alert.told:
        rows = tuple((told_text(told, words),) for told in alert.told[:TABLE_ROWS])
        tables.append(Table(words.say("mail", "told"), (), rows))
    return tuple(tables)


def _heads(words: Words, *labels: str) -> tuple[str, ...]:
    return tuple(words.say("label", label) for label in labels)


def _input_row(reading: Reading, words: Words) -> tuple[str, ...]:
    value = words.reading(reading)
    if reading.remarks:
        value = words.say("form", "remarked", value=value, remarks=words.names("note", reading.remarks))
    at = words.time(reading.collected_at, by_day=reading.by_day) if reading.collected_at else ""
    return words.name("analyte", reading.analyte), value, words.limits(reading), at


def _closing(alert: AlertView, words: Words, number: str, call_back: str) -> tuple[str, ...]:
    lines = [words.say("mail", "number", number=number, rule=alert.rule_id, version=alert.rule_version)]
    if call_back:
        lines.append(words.say("page", "call", call_back=bounded(call_back, CALL_BACK_CHARACTERS)))
    lines += [words.say("mail", "times", zone=words.zone_name(alert.decided_at)), words.say("mail", "intended")]
    return tuple(lines)


def _overdue(plan: PlanView, words: Words, call_back: str) -> Letter:
    facts = [
        ("patient", plan.patient_ref),
        ("due", words.time(plan.due_at)),
        ("overdue", words.time(plan.overdue_at)),
        ("draw", words.say("form", "draw", draw=plan.draw, minimum=plan.minimum_draws)),
    ]
    facts += [(key, words.names("analyte", names)) for key, names in _gaps(plan)]
    if plan.reason:
        facts.append(("why", words.name("plan_reason", plan.reason)))
    number = alert_number(plan.plan_id)
    closing = [words.say("mail", "plan_number", number=number)]
    if call_back:
        closing.append(words.say("page", "call", call_back=bounded(call_back, CALL_BACK_CHARACTERS)))
    closing += [words.say("mail", "times", zone=words.zone_name(plan.due_at)), words.say("mail", "intended")]
    told = tuple((told_text(told, words),) for told in plan.told[:TABLE_ROWS])
    return Letter(
        subject=bounded(words.say("subject", "overdue", number=number), SUBJECT_CHARACTERS),
        urgency="P3",
        badge=words.say("badge", "overdue"),
        headline=words.name("plan", plan.kind),
        lead=(words.say("lead", "overdue_late" if plan.late else "overdue"),),
        facts=tuple((words.say("label", key), value) for key, value in facts),
        tables=(Table(words.say("mail", "told"), (), told),) if told else (),
        closing=tuple(closing),
    )


def _gaps(plan: PlanView) -> tuple[tuple[str, tuple[str, ...]], ...]:
    return tuple((key, names) for key, names in (("missing", plan.missing), ("pending", plan.pending)) if names)


def _digest(digest: DigestView, words: Words) -> Letter:
    count = len(digest.alerts) + len(digest.plans)
    ward = words.say("form", "ward", ward=digest.ward) if digest.ward else ""
    tables = tuple(
        table
        for table in (
            Table(
                words.say("digest", "alerts"),
                _heads(words, "urgency", "patient", "what", "value", "baseline", "number"),
                tuple(_digest_alert(alert, words) for alert in digest.alerts[:TABLE_ROWS]),
            ),
            Table(
                words.say("digest", "plans"),
                _heads(words, "patient", "what", "due", "missing", "pending"),
                tuple(_digest_plan(plan, words) for plan in digest.plans[:TABLE_ROWS]),
            ),
        )
        if table.rows
    )
    left_out = max(0, len(digest.alerts) - TABLE_ROWS) + max(0, len(digest.plans) - TABLE_ROWS)
    lead = [words.say("lead", f"digest_{digest.kind}", count=count)] + ([ward] if ward else [])
    if left_out:
        lead.append(words.say("digest", "left_out", count=left_out))
    return Letter(
        subject=bounded(words.say("subject", f"digest_{digest.kind}", count=count), SUBJECT_CHARACTERS),
        urgency="P4",
        badge=words.say("badge", "digest"),
        headline=words.say("digest", digest.kind),
        lead=tuple(lead),
        tables=tables,
        closing=(words.say("mail", "zone", zone=words.zone), words.say("mail", "intended")),
    )


def _digest_alert(alert: AlertView, words: Words) -> tuple[str, ...]:
    what = rule_title(alert, words)
    if alert.known_since is not None:
        what = words.say("digest", "since", what=what, at=words.time(alert.known_since))
    value = _named(alert.reading, words) if alert.reading else ""
    return alert.urgency, alert.patient_ref, what, value, baseline_text(alert, words), alert_number(alert.alert_id)


def _digest_plan(plan: PlanView, words: Words) -> tuple[str, ...]:
    missing, pending = words.names("analyte", plan.missing), words.names("analyte", plan.pending)
    what = words.name("plan_status", plan.status)
    return plan.patient_ref, what, words.time(plan.due_at), missing or "–", pending or "–"
