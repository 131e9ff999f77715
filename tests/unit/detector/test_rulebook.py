"""The rule files are read strictly: a typing error stops the start with a sentence that names the place."""

from datetime import timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from services.common.errors import Misconfigured
from services.detector.domain.values import RuleId
from services.detector.rulebook import load
from tools.generate_ctcae import main as generate

SITE = ZoneInfo("Asia/Shanghai")


def _site(tmp_path: Path, name: str, text: str) -> Path:
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules" / name).write_text(text, "utf-8")
    return tmp_path


def test_the_shipped_files_are_read() -> None:
    rules = load(None, SITE)
    assert len(rules.rules) == 40
    assert rules.retest.after == timedelta(hours=72)


def test_the_generated_files_are_up_to_date() -> None:
    assert generate(["--check"]) == 0


def test_a_site_replaces_single_keys(tmp_path: Path) -> None:
    site = _site(tmp_path, "retest.toml", '[every-3-days]\nafter_hours = "0.01"\nwindow_hours = "0.005"\n')
    rules = load(site, SITE)
    assert rules.retest.after == timedelta(seconds=36)
    assert rules.retest.single_after == timedelta(hours=72)
    assert rules.fingerprint != load(None, SITE).fingerprint


def test_the_zone_is_part_of_the_rules() -> None:
    assert load(None, SITE).fingerprint != load(None, ZoneInfo("UTC")).fingerprint


def test_a_site_can_add_limits(tmp_path: Path) -> None:
    site = _site(
        tmp_path, "limits.toml", '[[limit]]\nanalyte = "FERRITIN"\nsex = "female"\nhigh = "150"\nsource = "lab"\n'
    )
    assert load(site, SITE).limits[0].high == 150


ALT = '[alt-increased]\nbands = [{{ grade = 1, gt = {{ uln = "1" }}, {} }}, {{ grade = 2, {} }}]\n'


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        pytest.param("retest.toml", "[every-3-days]\nafter_days = 3\n", "after_days", id="unknown key"),
        pytest.param("retest.toml", "[every-4-days]\n", "every-4-days", id="an unknown table"),
        pytest.param("retest.toml", "[every-3-days]\nafter_hours = 72\n", "after_hours", id="a number without quotes"),
        pytest.param("retest.toml", '[every-3-days]\nsource = ""\n', "source", id="a missing source"),
        pytest.param("retest.toml", '[every-3-days]\npanel = ["FERITIN"]\n', "FERITIN", id="an unknown analyte"),
        pytest.param("retest.toml", '[single]\nrule = "ferritin.raise"\n', "ferritin.raise", id="an unknown rule"),
        pytest.param("retest.toml", "after_hours = \n", "retest.toml", id="not TOML"),
        pytest.param("ctcae_v5.toml", '[alt-increased]\nunit = "ukat/L"\n', "ukat/L", id="an unknown unit"),
        pytest.param(
            "ctcae_v5.toml", ALT.format('le = { uln = "3" }', 'gt = { uln = "2" }'), "overlap", id="overlapping bands"
        ),
        pytest.param(
            "ctcae_v5.toml", ALT.format('le = { uln = "3" }', 'gt = { uln = "4" }'), "gap", id="a gap between bands"
        ),
        pytest.param(
            "ctcae_v5.toml",
            ALT.format('le = { uln = "3" }', 'ge = { uln = "3" }'),
            "overlap",
            id="a bound in two bands",
        ),
        pytest.param("ctcae_routing.toml", '[anemia]\nurgency = ["P4"]\n', "anemia", id="an urgency per grade"),
        pytest.param("ctcae_v5.toml", '[nonsense]\nunit = "1"\n', "nonsense", id="a term without routing"),
        pytest.param("ferritin.toml", '["ferritin.rise"]\nunit = "pmol/L"\n', "pmol/L", id="ferritin in another unit"),
        pytest.param(
            "limits.toml", '[[limit]]\nanalyte = "FERRITIN"\nhigh = "150"\n', "source", id="a limit without source"
        ),
    ],
)
def test_what_is_not_understood_is_refused_by_name(tmp_path: Path, name: str, text: str, words: str) -> None:
    with pytest.raises(Misconfigured, match=words) as refused:
        load(_site(tmp_path, name, text), SITE)
    assert name in refused.value.detail


def test_every_rule_names_whom_it_concerns() -> None:
    rules = load(None, SITE).rules
    assert all(rule.routing.roles and rule.routing.organ for rule in rules.values())
    assert rules[RuleId("ctcae.ckd-egfr")].routing.mode == "shadow"
