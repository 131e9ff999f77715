"""The worked examples of the specification as events, and random patients: what both implementations are given."""

import random
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

SITE = ZoneInfo("Asia/Shanghai")
REF = "K7QF-2M9X-RT4BD"
LIMITS: Mapping[str, tuple[str | None, str | None, str]] = {
    "FERRITIN": ("15", "150", "ug/L"),
    "ALT": (None, "40", "U/L"),
    "AST": (None, "40", "U/L"),
    "ALP": (None, "130", "U/L"),
    "BILIRUBIN_TOTAL": (None, "21", "umol/L"),
    "CREATININE": ("45", "104", "umol/L"),
    "HEMOGLOBIN": ("130", "175", "g/L"),
    "PLATELETS": ("125", "350", "10*9/L"),
    "NEUTROPHILS": ("1.8", "6.3", "10*9/L"),
    "POTASSIUM": ("3.5", "5.3", "mmol/L"),
    "SODIUM": ("137", "147", "mmol/L"),
    "CALCIUM_TOTAL": ("2.11", "2.52", "mmol/L"),
    "ALBUMIN": ("40", "55", "g/L"),
    "FIBRINOGEN": ("2", "4", "g/L"),
    "EOSINOPHILS": ("0.02", "0.52", "10*9/L"),
    "GLUCOSE": ("3.9", "6.1", "mmol/L"),
    "GLUCOSE_FASTING": ("3.9", "6.1", "mmol/L"),
}
Event = dict[str, Any]


def at(text: str) -> datetime:
    """Read `2026-01-19 08:00` in site time; a bare date means 08:00."""
    full = text if " " in text else f"{text} 08:00"
    return datetime.fromisoformat(full).replace(tzinfo=SITE).astimezone(UTC)


def iso(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


class Story:
    """Collects the events of one patient; each is received an hour after it happened unless said otherwise."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def _add(self, kind: str, received: datetime, **fields: Any) -> "Story":
        number = len(self.events)
        self.events.append(
            {"kind": kind, "event_id": f"e{number:05d}", "patient_ref": REF, "source": "lab",
             "received_at": iso(received), **fields}
        )  # fmt: skip
        return self

    def enrolled(self, *, dose: str | None = "2026-01-05 09:00", status: str = "enrolled",
                 received: str = "2025-12-20 12:00", consent: str = "2025-12-20 08:00") -> "Story":  # fmt: skip
        return self._add(
            "enrolment", at(received), arm="immunotherapy", status=status, consented_at=iso(at(consent)),
            first_dose_at=None if dose is None else iso(at(dose)), sex="female",
        )  # fmt: skip

    def lab(self, when: str | datetime, values: Mapping[str, str], *, received: datetime | None = None,
            status: str = "F", resulted: datetime | None = None, precision: str = "minute",
            remarks: tuple[str, ...] = (),
            specimen: str | None = None, order: str | None = None,
            order_key: str | None = None) -> "Story":  # fmt: skip
        collected = at(when) if isinstance(when, str) else when
        results = [
            self._result(a, text, collected, status, resulted or collected + timedelta(minutes=30), precision, remarks,
                         specimen, order, order_key)
            for a, text in values.items()
        ]  # fmt: skip
        return self._add("lab-report", received or collected + timedelta(hours=1), results=results, backfill=False)

    def _result(self, analyte: str, text: str, collected: datetime, status: str, resulted: datetime, precision: str,
                remarks: tuple[str, ...], specimen: str | None, order: str | None,
                order_key: str | None) -> Event:  # fmt: skip
        comparator = next((c for c in ("<=", ">=", "<", ">") if text.startswith(c)), None)
        low, high, unit = LIMITS[analyte]
        low, high = (None if "no-limits" in remarks else limit for limit in (low, high))
        key = order or f"{iso(collected)}"
        return {
            "result_id": f"{key}|{analyte}", "analyte": analyte, "value": text.removeprefix(comparator or ""),
            "comparator": comparator, "unit": unit, "original": {"value": text, "unit": unit}, "reference_low": low,
            "reference_high": high, "status": status, "collected_at": iso(collected), "collected_precision": precision,
            "resulted_at": iso(resulted), "order_key": order_key and f"{order_key}|{analyte}",
            "specimen": specimen, "assay": None,
            "remarks": [remark for remark in remarks if remark != "no-limits"],
            "code": {"value": None, "system": None, "text": None},
        }  # fmt: skip

    def graded(self, name: str, when: str, grade: int) -> "Story":
        return self._add("adverse-event", at(when) + timedelta(hours=1), adverse_event_id=name, term="Rash",
                         grade=grade, graded_at=iso(at(when)))  # fmt: skip

    def closed(self, when: str, outcome: str, episode_id: str) -> "Story":
        return self._add("episode-closed", at(when), episode_id=episode_id, outcome=outcome, by="person-1",
                         at=iso(at(when)))  # fmt: skip


NORMAL: Mapping[str, tuple[float, int]] = {
    "FERRITIN": (80.0, 1), "ALT": (25.0, 1), "AST": (24.0, 1), "ALP": (80.0, 1), "BILIRUBIN_TOTAL": (12.0, 1),
    "CREATININE": (70.0, 1), "HEMOGLOBIN": (140.0, -1), "PLATELETS": (220.0, -1), "NEUTROPHILS": (4.0, -1),
    "POTASSIUM": (4.2, 1), "SODIUM": (140.0, -1), "CALCIUM_TOTAL": (2.3, 1), "ALBUMIN": (44.0, -1),
    "FIBRINOGEN": (3.0, -1), "EOSINOPHILS": (0.2, 1), "GLUCOSE": (5.0, 1), "GLUCOSE_FASTING": (5.0, -1),
}  # fmt: skip
"""A usual value, and the direction of harm."""
GENTLE = frozenset({"HEMOGLOBIN", "POTASSIUM", "SODIUM", "CALCIUM_TOTAL", "ALBUMIN", "GLUCOSE_FASTING"})
OFTEN = ("FERRITIN", "ALT", "CREATININE", "HEMOGLOBIN", "POTASSIUM", "BILIRUBIN_TOTAL")


def random_story(seed: int, draws: int = 24) -> Story:
    """Return a patient with noise, jumps, relapses, doubtful, censored, late and corrected results."""
    rng = random.Random(seed)
    story = Story().enrolled(dose=rng.choice(["2026-01-05 09:00"] * 6 + [None]))
    if rng.random() < 0.15:
        story.enrolled(status=rng.choice(["completed", "withdrawn"]), received="2026-03-20 12:00")
    moment = at("2025-12-28 08:00") + timedelta(hours=rng.randrange(0, 96))
    analytes = OFTEN if rng.random() < 0.5 else ("FERRITIN", *rng.sample(sorted(set(NORMAL) - {"FERRITIN"}), 6))
    factor = dict.fromkeys(analytes, 1.0)
    restless, calm = rng.choice([(0.2, 0.1), (0.05, 0.3), (0.03, 0.3), (0.1, 0.4)])
    baseline = {a: NORMAL[a][0] * rng.choice([0.8, 1.0, 1.0, 1.2, 0.95 if a in GENTLE else 2.4]) for a in analytes}
    for number in range(draws):
        if rng.random() < calm:
            factor = dict.fromkeys(analytes, 1.0)
        for a in analytes:
            if rng.random() < restless:
                factor[a] = rng.choice((1.05, 1.12, 1.25, 1.45, 1.7) if a in GENTLE else (1.3, 1.6, 2.0, 3.0, 5.0, 9.0))
        chosen = [a for a in analytes if rng.random() < (0.85 if a == "FERRITIN" else 0.6)]
        values = {a: _value(rng, a, baseline[a], factor[a]) for a in chosen}
        if values:
            _report(rng, story, moment, values, number)
        if rng.random() < 0.06:
            story.graded("AE-1", moment.astimezone(SITE).strftime("%Y-%m-%d %H:%M"), rng.choice([0, 1, 2, 3]))
        moment += timedelta(hours=rng.choice([1, 2, 3, 20, 24, 24, 48, 71, 72, 72, 73, 96, 168, 500]))
    return story


def _value(rng: random.Random, analyte: str, baseline: float, factor: float) -> str:
    scale = factor if NORMAL[analyte][1] > 0 else 1 / factor
    noise = rng.choice([0.99, 1.0, 1.01] if analyte in GENTLE else [0.95, 1.0, 1.0, 1.05])
    text = f"{baseline * scale * noise:.2f}"
    return rng.choice([""] * 40 + [">", "<"]) + text


def _report(rng: random.Random, story: Story, moment: datetime, values: Mapping[str, str], number: int) -> None:
    delay = timedelta(hours=rng.choice([1, 1, 1, 1, 4, 30, 100]))
    status = rng.choice("FFFFFFFFFFFP")
    precision = rng.choice(["minute"] * 9 + ["day"])
    placed = moment
    if precision == "day":
        placed = moment.astimezone(SITE).replace(hour=12, minute=0).astimezone(UTC)
    remarks = rng.choice([()] * 14 + [("haemolysed",), ("time-suspect",), ("no-limits",)])
    order = f"o{number}"
    specimen = rng.choice([None, None, None, "SER", "PLAS"])
    common: dict[str, Any] = {"precision": precision, "remarks": remarks, "specimen": specimen, "order_key": order}
    story.lab(placed, values, status=status, received=placed + delay, order=order, **common)
    if rng.random() < 0.2:
        analyte = rng.choice(sorted(values))
        corrected = {analyte: f"{float(values[analyte].lstrip('<>')) * rng.choice([0.3, 0.5, 1.0, 2.5]):.1f}"}
        later = placed + timedelta(hours=rng.choice([2, 20, 90]))
        story.lab(placed, corrected, status=rng.choice("CCFDXW"), received=later + timedelta(hours=1),
                  resulted=later, order=order, **common)  # fmt: skip
    elif rng.random() < 0.05:
        moved, later = placed - timedelta(hours=rng.choice([5, 30])), placed + timedelta(hours=50)
        story.lab(moved, values, status="C", received=later, resulted=later, order=f"{order}-moved", **common)
