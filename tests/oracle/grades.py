"""CTCAE grades and ferritin levels of one reading, as the facts file and RULES 3.2, 3.4, 3.5 state them.

A band counts from its entry edge: "at least grade k" holds when the edge of band k, or of a worse band, is passed.
"""

from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from tests.oracle.facts import Reading
from tests.oracle.logic import Interval, Verdict, above, at_least, at_most, below, both, either

FACTS = Path(__file__).parents[2] / "tools" / "facts" / "ctcae_facts.yaml"

# slug: urgency of grade 1..4 ("-": no such grade), as RULES 3.4 has them
URGENCY = {
    "alt-increased": "P4 P3 P2 P1", "ast-increased": "P4 P3 P2 P1", "bilirubin-increased": "P4 P3 P2 P1",
    "alp-increased": "P4 P3 P2 P2", "ggt-increased": "P4 P3 P2 P2", "ldh-increased": "P4 - - -",
    "haptoglobin-decreased": "P4 - - -", "creatinine-increased": "P4 P3 P2 P1", "cpk-increased": "P3 P2 P2 P1",
    "lipase-increased": "P4 P4 P3 -", "amylase-increased": "P4 P4 P3 -", "inr-increased": "P4 P3 P1 -",
    "aptt-prolonged": "P4 P3 P2 -", "fibrinogen-decreased": "P4 P3 P2 P1", "anemia": "P4 P3 P2 -",
    "platelets-decreased": "P4 P3 P2 P1", "neutrophils-decreased": "P4 P4 P3 P2", "wbc-decreased": "P4 P4 P3 P2",
    "lymphocytes-decreased": "P4 P4 P4 P3", "lymphocytes-increased": "- P4 P3 -", "leukocytosis": "- - P2 -",
    "eosinophilia": "P4 - - -", "hypokalemia": "P4 - P2 P1", "hyperkalemia": "P4 P2 P1 P1",
    "hyponatremia": "P4 P3 P2 P1", "hypernatremia": "P4 P3 P2 P1", "hypocalcemia-corrected": "P4 P3 P2 P1",
    "hypercalcemia-corrected": "P4 P3 P2 P1", "hypocalcemia-ionized": "P4 P3 P2 P1",
    "hypercalcemia-ionized": "P4 P3 P2 P1", "hypomagnesemia": "P4 P3 P2 P1", "hypermagnesemia": "P4 P3 P2 P1",
    "hypoglycemia": "P4 P2 P1 P1", "hyperglycemia": "P4 P3 P2 P1", "hypoalbuminemia": "P4 P4 P3 -",
    "hypertriglyceridemia": "P4 P4 P3 P2", "hyperuricemia": "P4 - - -", "tsh-increased": "P4 - - -",
    "ckd-egfr": "P4 P4 P3 P3",
}  # fmt: skip
SHADOW = {"ckd-egfr"}
USE_V6_BOUNDS = {"hyponatremia", "ckd-egfr", "hyperglycemia"}
EXTRA_ANALYTES = {"hypoglycemia": ("GLUCOSE", "GLUCOSE_FASTING"), "hyperglycemia": ("GLUCOSE_FASTING", "GLUCOSE")}


@dataclass(frozen=True)
class Base:
    """A baseline: `kind` none carries no value; limits already fallen back to those of the reading."""

    kind: str
    value: Decimal | None = None
    lln: Decimal | None = None
    uln: Decimal | None = None


@cache
def terms() -> dict[str, dict[str, Any]]:
    """Return the gradable terms by slug."""
    found = yaml.safe_load(FACTS.read_text("utf-8"))["terms"]
    by_slug = {term["id"].replace("_", "-"): term for term in found}
    return {slug: by_slug[slug] for slug in URGENCY}


def driving(slug: str) -> tuple[str, ...]:
    """Return the analytes whose results the term grades."""
    return EXTRA_ANALYTES.get(slug, (terms()[slug]["analyte"],))


@cache
def slugs_of(analyte: str) -> tuple[str, ...]:
    """Return the terms that grade an analyte."""
    return tuple(slug for slug in URGENCY if analyte in driving(slug))


def _edge(band: dict[str, Any], v: Interval, scale: Decimal | None, limits: dict[str, Decimal | None]) -> Verdict:
    """The entry edge of a band: the end nearer to normal."""

    def bound(raw: Any) -> Decimal | None:
        if raw in ("LLN", "ULN", "baseline"):
            return limits[raw]
        return None if scale is None else Decimal(str(raw)) * scale

    if "gt" in band and isinstance(band["gt"], list):
        known = [limits[name] for name in band["gt"] if not (name == "baseline" and limits[name] is None)]
        return None if None in known else both(*(above(v, bound_) for bound_ in known))
    high = "gt" in band or ("ge" in band and "lt" not in band and not _low(band))
    if high:
        return above(v, bound(band["gt"])) if "gt" in band else at_least(v, bound(band["ge"]))
    return below(v, bound(band["lt"])) if "lt" in band else at_most(v, bound(band["le"]))


def _low(band: dict[str, Any]) -> bool:
    return band.get("__direction") == "low"


def grades(slug: str, reading: Reading, base: Base) -> dict[int, Verdict]:
    """Return for each grade of the term whether "at least this grade" is met, not met or unknown."""
    term = terms()[slug]
    version = term["v6"] if slug in USE_V6_BOUNDS else term["v5"]
    v, direction = reading.v, term["direction"]
    limits = {"LLN": reading.lln, "ULN": reading.uln, "baseline": base.value}
    one = Decimal(1)
    sets: list[dict[int, Verdict]] = []

    def add(bands: dict[int, Any], scale: Decimal | None, subject: Interval = v) -> None:
        marked = {g: {**band, "__direction": direction} for g, band in bands.items()}
        sets.append({int(g): _edge(band, subject, scale, limits) for g, band in marked.items()})

    kind = version["kind"]
    if kind == "multiple_with_baseline_switch":
        high = base.value is not None and base.uln is not None and base.value > base.uln
        part = version["baseline_high" if high else "baseline_not_high"]
        add(part["bands"], base.value if part["reference"] == "baseline" else reading.uln)
    elif kind == "multiple_of_reference":
        add(version["bands"], limits[version["reference"]])
    elif kind == "multiple_with_symptoms":
        add(version["asymptomatic"], reading.uln)
    elif kind in ("absolute", "absolute_with_symptoms"):
        bands = version["si"]["bands"] if "si" in version else version["bands"]
        if slug == "hyperglycemia" and reading.analyte == "GLUCOSE":
            bands = {g: b for g, b in bands.items() if int(g) >= 3}
        add(bands, one)
    elif kind in ("above_uln_and_baseline", "uln", "uln_with_symptoms"):
        add(version["bands"], one)
    elif kind == "worst_of":
        for rule in version["rules"]:
            if rule["reference"] == "absolute":
                add(rule["bands"], one)
            elif rule["reference"] in ("ULN", "LLN"):
                add(rule["bands"], limits[rule["reference"]])
            elif rule["reference"] == "baseline" and "applies_when" not in rule and base.value is not None:
                add(rule["bands"], base.value)
            elif rule["reference"] == "percent_decrease_from_baseline" and base.value is not None:
                sets.append(_falls(v, base.value, reading.lln))
    else:
        raise AssertionError(kind)
    found = sorted({g for part in sets for g in part})
    return {
        k: either(*(verdict for part in sets for g, verdict in part.items() if g >= k)) for k in found
    }  # fmt: skip


def _falls(v: Interval, base: Decimal, lln: Decimal | None) -> dict[int, Verdict]:
    """Fibrinogen below LLN: graded by the fall from baseline; grade 2 from 25 %, 3 from 50 %, 4 from 75 %."""
    applies = below(v, lln)
    parts = {1: Decimal(1), 2: Decimal("0.75"), 3: Decimal("0.5"), 4: Decimal("0.25")}
    return {
        g: applies if g == 1 else both(applies, at_most(v, base * left)) for g, left in parts.items()
    }  # fmt: skip


def baseline_grade(slug: str, analyte: str, base: Base) -> int:
    """Grade of the baseline value with its limits, against itself; 0 without one."""
    if base.value is None:
        return 0
    at = Reading.__new__(Reading)
    for name, value in {
        "analyte": analyte, "value": base.value, "comparator": None, "lln": base.lln, "uln": base.uln,
    }.items():  # fmt: skip
        object.__setattr__(at, name, value)
    return max((g for g, verdict in grades(slug, at, base).items() if verdict is True), default=0)


def ferritin_levels(reading: Reading, base: Base) -> dict[int, Verdict]:
    """RULES 3.2: whether at least level 1, 2, 3 is met."""
    v = reading.v
    if base.value is None or base.value <= 0:
        return {1: either(at_least(v, Decimal(500)), above(v, Decimal(712))), 3: above(v, Decimal(712))}

    def fold(k: str, own: Decimal = base.value) -> Verdict:
        return at_least(v, Decimal(k) * own)

    high = above(v, reading.uln)
    three = either(both(at_least(v, Decimal(500)), fold("2.0")), both(above(v, Decimal(712)), fold("1.5")))
    two, one = both(high, fold("3.0")), both(high, fold("2.0"))
    if reading.uln is None:
        two = one = None  # 3.2 to the letter: unknown, even where the fold alone would exclude them
    return {1: either(one, two, three), 2: either(two, three), 3: three}
