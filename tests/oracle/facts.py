"""From events to readings: which version of each result stands, what it may be used for, where it lies in time."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from tests.oracle.logic import Interval, interval

CLASS_OF = dict.fromkeys("PRS", 1) | dict.fromkeys("FABVU", 2) | {"C": 3} | dict.fromkeys("DWX", 4)
HAEMOLYSIS_SENSITIVE = {"POTASSIUM", "LDH", "AST", "FERRITIN", "PHOSPHATE", "MAGNESIUM"}
METHOD_GROUPS = {
    "LDH": ("14804-9", "14805-6"),
    "TROPONIN_I": ("89579-7",),
    "TROPONIN_T": ("67151-1",),
}
HOUR = timedelta(hours=1)
RANK = {"<": -2, "<=": -1, None: 0, ">=": 1, ">": 2}
"""Of equal numbers the larger is the one that stands for larger values."""

Row = Mapping[str, Any]


def instant(text: str) -> datetime:
    """Read an ISO instant."""
    return datetime.fromisoformat(text)


def instant_or_none(text: str | None) -> datetime | None:
    """Read an ISO instant that may be absent."""
    return None if text is None else instant(text)


@dataclass(frozen=True)
class Reading:
    """The standing version of one result."""

    result_id: str
    analyte: str
    at: datetime
    day_only: bool
    resulted_at: datetime
    value: Decimal
    comparator: str | None
    lln: Decimal | None
    uln: Decimal | None
    specimen: str | None
    assay: str | None
    method: str | None
    kind: str  # usable, doubtful, time-doubtful
    collected_at: datetime | None
    received_at: datetime
    backfill: bool
    never_low: bool = False

    @property
    def usable(self) -> bool:
        return self.kind == "usable"

    @property
    def v(self) -> Interval:
        return interval(self.value, self.comparator)


@dataclass(frozen=True)
class Entry:
    """Any standing entry of an analyte, with or without a number: what the panel looks at."""

    analyte: str
    at: datetime
    status: str
    usable: bool


@dataclass
class Patient:
    """Everything known at `now`."""

    zone: ZoneInfo
    now: datetime
    status: str | None = None
    arm: str | None = None
    consented_at: datetime | None = None
    consent_day: bool = False
    first_dose: datetime | None = None
    first_dose_day: bool = False
    readings: list[Reading] = field(default_factory=list)
    entries: list[Entry] = field(default_factory=list)
    pins: dict[str, Decimal] = field(default_factory=dict)
    gradings: list[Row] = field(default_factory=list)
    closures: list[Row] = field(default_factory=list)

    def site_date(self, at: datetime) -> date:
        return at.astimezone(self.zone).date()


def number(text: str | None) -> Decimal | None:
    """Read a decimal string."""
    return None if text is None else Decimal(text)


def gather(events: Iterable[Row], now: datetime, zone: ZoneInfo) -> Patient:
    """Return the patient as the facts received up to `now` describe it; order of the events breaks ties only."""
    patient = Patient(zone, now)
    known = sorted((e for e in events if instant(e["received_at"]) <= now), key=lambda e: instant(e["received_at"]))
    registry = [e for e in known if e["kind"] == "enrolment"]
    if registry:
        _take_registry(patient, registry[-1])
    _take_cycles(patient, known)
    latest_pin = {e["analyte"]: Decimal(e["value"]) for e in known if e["kind"] == "baseline-pinned"}
    patient.pins = latest_pin
    last_grading = {
        (e["adverse_event_id"], e["graded_at"]): e for e in known if e["kind"] == "adverse-event"
    }  # fmt: skip
    patient.gradings = [e for e in last_grading.values() if instant(e["graded_at"]) <= now]
    patient.closures = [e for e in known if e["kind"] == "episode-closed" and instant(e["at"]) <= now]
    for version in standing_versions(known, registry[-1] if registry else None):
        _take_result(patient, version)
    patient.readings.sort(key=lambda r: (r.at, r.resulted_at, r.value, RANK[r.comparator], r.result_id))
    patient.readings += _corrected_calcium(patient.readings)
    patient.readings.sort(key=lambda r: (r.at, r.resulted_at, r.value, RANK[r.comparator], r.result_id))
    return patient


def _take_registry(patient: Patient, row: Row) -> None:
    patient.status, patient.arm = row["status"], row.get("arm")
    patient.consented_at = instant_or_none(row.get("consented_at"))
    patient.consent_day = row.get("consented_precision") == "day"
    patient.first_dose = instant_or_none(row.get("first_dose_at"))
    patient.first_dose_day = row.get("first_dose_precision") == "day"


def _take_cycles(patient: Patient, known: list[Row]) -> None:
    cycles = {e["n"]: e for e in known if e["kind"] == "cycle"}
    given = [
        (instant(e["administered_at"]), e.get("administered_precision") == "day")
        for e in cycles.values()
        if e.get("status", "given") == "given" and instant(e["administered_at"]) <= patient.now
    ]
    if patient.first_dose is None and given:
        patient.first_dose, patient.first_dose_day = min(given)


def standing_versions(known: list[Row], registry: Row | None) -> list[dict[str, Any]]:
    """Return the standing version of each result (RULES 1.1), deleted ones left out."""
    by_id: dict[str, list[dict[str, Any]]] = defaultdict(list)
    seen: dict[tuple[Any, ...], dict[str, Any]] = {}
    for report in known:
        if report["kind"] != "lab-report" or _contradicts(report, registry):
            continue
        for result in report["results"]:
            version = {**result, "received_at": report["received_at"], "backfill": report.get("backfill", False)}
            content = tuple((k, str(version.get(k))) for k in CONTENT)
            if content not in seen:
                seen[content] = version
                by_id[result["result_id"]].append(version)
    replaced = _moved_corrections(by_id)
    walked = (_walk(versions) for name, versions in by_id.items() if name not in replaced)
    return [version for version in walked if version is not None]


CONTENT = (
    "result_id", "analyte", "status", "value", "comparator", "unit", "reference_low", "reference_high",
    "collected_at", "collected_precision", "resulted_at", "specimen", "assay", "remarks",
)  # fmt: skip


def _contradicts(report: Row, registry: Row | None) -> bool:
    if registry is None:
        return False
    pairs = [(report.get(k), registry.get(k)) for k in ("birth_date_token", "sex_token")]
    return any(a and b and a != b for a, b in pairs)


def _order(version: Mapping[str, Any]) -> tuple[Any, ...]:
    at = instant_or_none(version.get("resulted_at")) or instant(version["received_at"])
    value = number(version.get("value"))
    return (at, CLASS_OF.get(version["status"], 0), value is not None, value or Decimal(0))


def _has_number(version: Mapping[str, Any]) -> bool:
    return version.get("value") is not None and version["status"] not in "ION"


def _walk(versions: list[dict[str, Any]]) -> dict[str, Any] | None:
    standing: dict[str, Any] | None = None
    before: list[dict[str, Any]] = []
    for version in sorted((v for v in versions if v["status"] in CLASS_OF), key=_order):
        klass = CLASS_OF[version["status"]]
        effective = dict(version)
        if version["status"] == "U" and version.get("value") is None:
            preliminary = [b for b in before if CLASS_OF[b["status"]] == 1 and _has_number(b)]
            if preliminary:
                effective |= {k: preliminary[-1].get(k) for k in ("value", "comparator", "unit")}
        if standing is None:
            standing = effective
        elif _replaces(standing, effective, klass, before):
            standing = effective
        before.append(effective)
    if standing is None or CLASS_OF[standing["status"]] == 4:
        return None
    if CLASS_OF[standing["status"]] == 3 and not _has_number(standing):
        return None
    return standing


def _replaces(standing: dict[str, Any], new: dict[str, Any], klass: int, before: list[dict[str, Any]]) -> bool:
    old_class = CLASS_OF[standing["status"]]
    if klass == 1 and old_class > 1:
        return False
    if klass in (1, 2) and not _has_number(new) and _has_number(standing):
        return False
    if klass == 2 and old_class in (3, 4):
        earlier = before[: before.index(standing)]
        same = [b for b in earlier if _has_number(b) and _value(b) == _value(new)]
        if same:
            return False
    return True


def _value(version: Mapping[str, Any]) -> tuple[Decimal, str | None]:
    return Decimal(version["value"]), version.get("comparator")


def _moved_corrections(by_id: Mapping[str, list[dict[str, Any]]]) -> set[str]:
    """Return the ids that a correction of the collection time replaces."""
    replaced: set[str] = set()
    for name, versions in by_id.items():
        for version in versions:
            key = version.get("order_key")
            if version["status"] != "C" or version.get("specimen_id") or not key or len(versions) > 1:
                continue
            others = {
                other
                for other, found in by_id.items()
                if other != name and any(f.get("order_key") == key for f in found)
                and not all(f["status"] == "C" for f in found) and _walk(found) is not None
            }  # fmt: skip
            if len(others) == 1:
                replaced |= others
    return replaced


def _take_result(patient: Patient, version: dict[str, Any]) -> None:
    collected, resulted = instant_or_none(version.get("collected_at")), instant_or_none(version.get("resulted_at"))
    received = instant(version["received_at"])
    suspect = collected is None or "time-suspect" in version.get("remarks", ())
    placed = (resulted or received) if suspect else collected
    assert placed is not None
    if placed > patient.now:
        return
    numeric = _has_number(version) and version.get("unit") is not None
    doubtful = CLASS_OF[version["status"]] == 1 or (
        "haemolysed" in version.get("remarks", ()) and version["analyte"] in HAEMOLYSIS_SENSITIVE
    )
    kind = "time-doubtful" if suspect else "doubtful" if doubtful else "usable"
    patient.entries.append(Entry(version["analyte"], placed, version["status"], numeric and kind == "usable"))
    if not numeric:
        return
    code = (version.get("code") or {}).get("value")
    uln, lln = number(version.get("reference_high")), number(version.get("reference_low"))
    patient.readings.append(
        Reading(
            version["result_id"], version["analyte"], placed, version.get("collected_precision") == "day",
            resulted or received, Decimal(version["value"]), version.get("comparator"),
            lln, uln if uln is None or uln > 0 else None,
            version.get("specimen"), version.get("assay"), _method(version["analyte"], code),
            kind, collected, received, bool(version["backfill"]),
        )
    )  # fmt: skip


def _method(analyte: str, code: str | None) -> str | None:
    groups = METHOD_GROUPS.get(analyte)
    if groups is None:
        return None
    return code if code in groups else "other"


def _corrected_calcium(readings: list[Reading]) -> list[Reading]:
    """RULES 1.6: computed from total calcium and albumin where no corrected value was reported near it."""
    made: list[Reading] = []
    reported = [r for r in readings if r.analyte == "CALCIUM_CORRECTED"]
    albumins = [r for r in readings if r.analyte == "ALBUMIN" and r.comparator is None]
    for total in (r for r in readings if r.analyte == "CALCIUM_TOTAL"):
        if any(abs(r.at - total.at) <= 2 * HOUR for r in reported):
            continue
        near = [a for a in albumins if abs(a.at - total.at) <= 2 * HOUR]
        if near:
            albumin = max(near, key=lambda a: (a.at, a.resulted_at, a.value))
            later = max(total, albumin, key=lambda r: r.at)
            doubt = next((k for k in ("time-doubtful", "doubtful") if k in (total.kind, albumin.kind)), "usable")
            value = total.value + Decimal("0.02") * (Decimal(40) - albumin.value)
            made.append(
                _as_corrected(
                    total, value=value, at=later.at, kind=doubt, never_low=False, resulted_at=albumin.resulted_at
                )
            )
        else:
            made.append(
                _as_corrected(
                    total,
                    value=total.value,
                    at=total.at,
                    kind="doubtful",
                    never_low=True,
                    resulted_at=total.resulted_at,
                )
            )
    return made


def _as_corrected(
    total: Reading, *, value: Decimal, at: datetime, kind: str, never_low: bool, resulted_at: datetime
) -> Reading:
    seen = max(total.resulted_at, resulted_at)
    name = f"{total.result_id}:corrected"
    return replace(total, result_id=name, analyte="CALCIUM_CORRECTED", method=None, value=value, at=at, kind=kind,
                   resulted_at=seen, never_low=never_low)  # fmt: skip
