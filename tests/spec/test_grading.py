"""Every CTCAE term (v5.0) just short of, at and just past each bound. ULN 100, LLN 50 where a term needs limits."""

from decimal import Decimal
from pathlib import Path

import pytest

from services.detector.domain.baseline import Baseline
from services.detector.domain.grading import baseline_grade, grade
from services.detector.domain.rules import CtcaeTerm
from services.detector.domain.statements import BaselineKind
from services.detector.domain.values import RuleId
from tests.spec.bedside import RULES, split

LLN, ULN = Decimal(50), Decimal(100)


def term(slug: str) -> CtcaeTerm:
    rule = RULES.rules[RuleId(f"ctcae.{slug}")]
    assert isinstance(rule, CtcaeTerm)
    return rule


def graded(
    slug: str, text: str, baseline: str | None = None, low: Decimal | None = LLN, high: Decimal | None = ULN
) -> str:
    """Return the grade as a digit, `?` for ungradable, `3+` where a higher one cannot be excluded."""
    comparator, value = split(text)
    assert value is not None
    base = None if baseline is None else Baseline(BaselineKind.OWN, Decimal(baseline), None, low, high)
    result = grade(term(slug), value, comparator, low, high, base)
    if result.grade == result.ceiling:
        return str(result.grade)
    return f"{result.grade}+" if result.grade else "?"


HIGH = "alt-increased ast-increased"
FIVES = "alp-increased ggt-increased"


@pytest.mark.parametrize(
    ("slugs", "rows"),
    [
        pytest.param(HIGH, "99.9:0 100:0 100.1:1 300:1 300.1:2 500:2 500.1:3 2000:3 2000.1:4", id="ALT, AST"),
        pytest.param(FIVES, "100:0 100.1:1 250:1 250.1:2 500:2 500.1:3 2000:3 2000.1:4", id="ALP, GGT"),
        pytest.param(
            "bilirubin-increased", "100:0 100.1:1 150:1 150.1:2 300:2 300.1:3 1000:3 1000.1:4", id="bilirubin"
        ),
        pytest.param("ldh-increased", "100:0 100.1:1 9000:1", id="LDH, grade 1 only"),
        pytest.param(
            "creatinine-increased", "100:0 100.1:1 150:1 150.1:2 300:2 300.1:3 600:3 600.1:4", id="creatinine"
        ),
        pytest.param("cpk-increased", "100:0 100.1:1 250:1 250.1:2 500:2 500.1:3 1000:3 1000.1:4", id="CK"),
        pytest.param(
            "lipase-increased amylase-increased", "100:0 100.1:1 150:1 150.1:2 500:2 500.1:3", id="lipase, amylase"
        ),
        pytest.param("inr-increased", "1.2:0 1.21:1 1.5:1 1.51:2 2.5:2 2.51:3", id="INR, absolute arm"),
        pytest.param("aptt-prolonged", "100:0 100.1:1 150:1 150.1:2 250:2 250.1:3", id="aPTT"),
        pytest.param("lymphocytes-increased", "4:0 4.01:2 20:2 20.01:3", id="lymphocytes high, from grade 2"),
        pytest.param("leukocytosis", "100:0 100.1:3", id="leukocytosis, grade 3 only"),
        pytest.param("eosinophilia", "100:0 100.1:1", id="eosinophilia"),
        pytest.param("hyperuricemia tsh-increased", "100:0 100.1:1", id="urate, TSH"),
        pytest.param(
            "hypertriglyceridemia", "1.70:0 1.71:1 3.42:1 3.43:2 5.7:2 5.71:3 11.4:3 11.41:4", id="triglyceride"
        ),
    ],
)
def test_high_values_are_graded_at_exact_bounds(slugs: str, rows: str) -> None:
    for slug in slugs.split():
        for row in rows.split():
            value, expected = row.split(":")
            assert graded(slug, value) == expected, (slug, row)


@pytest.mark.parametrize(
    ("slug", "high", "rows"),
    [
        pytest.param("hyperkalemia", "5.3", "5.3:0 5.31:1 5.5:1 5.51:2 6.0:2 6.01:3 7.0:3 7.01:4", id="hyperkalemia"),
        pytest.param(
            "hypernatremia", "147", "147:0 147.1:1 150:1 150.1:2 155:2 155.1:3 160:3 160.1:4", id="hypernatremia"
        ),
        pytest.param(
            "hypercalcemia-corrected", "2.52", "2.52:0 2.53:1 2.9:1 2.91:2 3.1:2 3.11:3 3.4:3 3.41:4", id="calcium high"
        ),
        pytest.param(
            "hypercalcemia-ionized",
            "1.3",
            "1.3:0 1.31:1 1.5:1 1.51:2 1.6:2 1.61:3 1.8:3 1.81:4",
            id="ionized calcium high",
        ),
        pytest.param(
            "hypermagnesemia", "1.05", "1.05:0 1.06:1 1.23:1 1.24:3 3.3:3 3.31:4", id="magnesium high, no grade 2"
        ),
        pytest.param(
            "hyperglycemia", "6.1", "6.1:0 6.11:1 8.9:1 8.91:2 13.9:2 13.91:3 27.8:3 27.81:4", id="glucose high, v6.0"
        ),
        pytest.param("hyperkalemia", "5.8", "5.5:0 5.51:2 5.8:2", id="a wide ULN: the highest matching band wins"),
    ],
)
def test_high_values_with_absolute_bands(slug: str, high: str, rows: str) -> None:
    for row in rows.split():
        value, expected = row.split(":")
        assert graded(slug, value, high=Decimal(high)) == expected, row


@pytest.mark.parametrize(
    ("slug", "low", "rows"),
    [
        pytest.param("haptoglobin-decreased", "0.3", "0.3:0 0.29:1", id="haptoglobin"),
        pytest.param("anemia", "130", "130:0 129:1 100:1 99.9:2 80:2 79.9:3 10:3", id="anemia"),
        pytest.param("platelets-decreased", "125", "125:0 124:1 75:1 74.9:2 50:2 49.9:3 25:3 24.9:4", id="platelets"),
        pytest.param(
            "neutrophils-decreased", "1.8", "1.8:0 1.79:1 1.5:1 1.49:2 1.0:2 0.99:3 0.5:3 0.49:4", id="neutrophils"
        ),
        pytest.param("wbc-decreased", "3.5", "3.5:0 3.4:1 3.0:1 2.9:2 2.0:2 1.9:3 1.0:3 0.9:4", id="leukocytes"),
        pytest.param(
            "lymphocytes-decreased", "1.1", "1.1:0 1.0:1 0.8:1 0.79:2 0.5:2 0.49:3 0.2:3 0.19:4", id="lymphocytes"
        ),
        pytest.param(
            "hypokalemia", "3.5", "3.5:0 3.4:1 3.0:1 2.9:3 2.5:3 2.4:4", id="hypokalemia, no grade 2 by laboratory"
        ),
        pytest.param(
            "hyponatremia", "137", "137:0 136:1 130:1 129.9:2 125:2 124.9:3 120:3 119.9:4", id="hyponatremia, v6.0"
        ),
        pytest.param(
            "hypocalcemia-corrected", "2.11", "2.11:0 2.1:1 2.0:1 1.99:2 1.75:2 1.74:3 1.5:3 1.49:4", id="calcium low"
        ),
        pytest.param(
            "hypocalcemia-ionized",
            "1.1",
            "1.1:0 1.09:1 1.0:1 0.99:2 0.9:2 0.89:3 0.8:3 0.79:4",
            id="ionized calcium low",
        ),
        pytest.param(
            "hypomagnesemia", "0.75", "0.75:0 0.74:1 0.5:1 0.49:2 0.4:2 0.39:3 0.3:3 0.29:4", id="magnesium low"
        ),
        pytest.param("hypoglycemia", "3.9", "3.9:0 3.8:1 3.0:1 2.9:2 2.2:2 2.1:3 1.7:3 1.6:4", id="glucose low"),
        pytest.param("hypoalbuminemia", "40", "40:0 39:1 30:1 29:2 20:2 19:3", id="albumin"),
        pytest.param("fibrinogen-decreased", "2", "2:0 1.9:1 1.5:1 1.49:2 1.0:2 0.99:3 0.5:3 0.49:4", id="fibrinogen"),
        pytest.param("ckd-egfr", "90", "90:0 89:1 60:1 59.9:2 30:2 29.9:3 15:3 14.9:4", id="eGFR, v6.0 bounds"),
    ],
)
def test_low_values_are_graded_at_exact_bounds(slug: str, low: str, rows: str) -> None:
    for row in rows.split():
        value, expected = row.split(":")
        assert graded(slug, value, low=Decimal(low)) == expected, row


@pytest.mark.parametrize(
    ("slug", "baseline", "rows"),
    [
        pytest.param("alt-increased", "100", "300:1 300.1:2", id="a baseline at the ULN is not high"),
        pytest.param(
            "alt-increased", "200", "299:0 300:1 600:1 601:2 1000:2 1001:3 4000:3 4001:4", id="ALT, high baseline"
        ),
        pytest.param(
            "alp-increased", "200", "399:0 400:1 500:1 501:2 1000:2 1001:3 4000:3 4001:4", id="ALP, high baseline"
        ),
        pytest.param("bilirubin-increased", "200", "200:0 201:1 300:1 301:2 600:2 601:3 2000:3 2001:4", id="bilirubin"),
        pytest.param("creatinine-increased", "60", "90:0 90.1:2 180:2 180.1:3", id="creatinine against the baseline"),
        pytest.param("eosinophilia", "200", "150:0 200:0 201:1", id="eosinophilia past ULN and baseline"),
    ],
)
def test_the_baseline_decides_where_the_term_says_so(slug: str, baseline: str, rows: str) -> None:
    for row in rows.split():
        value, expected = row.split(":")
        assert graded(slug, value, baseline) == expected, row


def test_fibrinogen_falls_count_only_below_the_lln() -> None:
    low = Decimal(2)
    rows = {"2.9": "0", "2": "0", "1.99": "3", "1.01": "3", "1.0": "4"}
    assert {value: graded("fibrinogen-decreased", value, "4", low=low) for value in rows} == rows


@pytest.mark.parametrize(
    ("slug", "text", "expected"),
    [
        pytest.param("alt-increased", ">1000", "3+", id=">1000 with ULN 100: at least grade 3"),
        pytest.param("alt-increased", ">2000", "4", id=">2000 is past the last bound"),
        pytest.param("alt-increased", "<20", "0", id="<20 is normal in all certainty"),
        pytest.param("alt-increased", "<400", "?", id="<400 may be anything"),
        pytest.param("platelets-decreased", "<20", "4", id="<20 platelets: grade 4"),
        pytest.param("platelets-decreased", "<25", "4", id="<25 platelets lie below 25"),
        pytest.param("platelets-decreased", "<=25", "3+", id="<=25 may be 25: at least grade 3"),
        pytest.param("platelets-decreased", ">10", "?", id=">10 platelets may be anything"),
        pytest.param("platelets-decreased", ">=100", "0", id=">=100 lies above the LLN of 50"),
    ],
)
def test_a_censored_value_has_the_grade_that_is_certain(slug: str, text: str, expected: str) -> None:
    assert graded(slug, text) == expected


@pytest.mark.parametrize(
    ("slug", "text", "expected"),
    [
        pytest.param("alt-increased", "9000", "?", id="multiples without a ULN: ungradable"),
        pytest.param("anemia", "95", "2", id="an absolute band needs no limit"),
        pytest.param("anemia", "120", "?", id="normal or grade 1: ungradable, never normal"),
        pytest.param("fibrinogen-decreased", "0.4", "4", id="fibrinogen below 0.5 whatever the limit"),
        pytest.param("hypertriglyceridemia", "1.0", "0", id="triglycerides need no limit at all"),
    ],
)
def test_a_missing_limit_hides_only_what_needs_it(slug: str, text: str, expected: str) -> None:
    assert graded(slug, text, low=None, high=None) == expected


@pytest.mark.parametrize(
    ("slug", "baseline", "expected"),
    [
        pytest.param("alt-increased", "350", 0, id="a high ALT graded against itself is 0 in v5.0"),
        pytest.param("creatinine-increased", "160", 2, id="creatinine keeps the grade of its ULN arm"),
        pytest.param("hypoalbuminemia", "45", 1, id="albumin below its LLN"),
    ],
)
def test_the_baseline_grade_is_graded_against_itself(slug: str, baseline: str, expected: int) -> None:
    value = Baseline(BaselineKind.OWN, Decimal(baseline), None, LLN, ULN)
    assert baseline_grade(term(slug), value, LLN, ULN) == expected


def test_every_term_has_rows_here() -> None:
    source = Path(__file__).read_text("utf-8")
    assert [
        rule_id
        for rule_id in RULES.rules
        if rule_id.startswith("ctcae.") and rule_id.removeprefix("ctcae.") not in source.split('"""', 2)[2]
    ] == []
