"""The generator of docs/: what it shows and what it refuses to hide."""

import ast
from enum import StrEnum
from pathlib import Path

import pytest

from tools.docs import __main__ as pages
from tools.docs import diagrams, rules, specification, topics
from tools.docs.markdown import table


class Light(StrEnum):
    RED = "red"
    GREEN = "green"


class Push(StrEnum):
    BUTTON = "button"


def test_every_topic_has_a_row_that_says_who_writes_and_who_reads() -> None:
    page = topics.render()
    assert "| `alerts.v1` |" in page
    assert "| detector | notifier |" in page


def test_a_rule_shows_its_criterion_bounds_source_and_signature(tmp_path: Path) -> None:
    folder = tmp_path / "services" / "detector" / "rules"
    folder.mkdir(parents=True)
    (folder / "ferritin.toml").write_text(
        '# About ferritin.\n\n[rise.double]\ncriterion = "At least doubles"\nfactor = "2.0"\n'
        'source = "the protocol"\napproved = { by = "Dr A", on = 2026-01-01 }\n'
    )
    page = rules.render(tmp_path)
    assert "About ferritin." in page
    assert "| `rise.double` | At least doubles | factor = 2.0 | the protocol | Dr A, 2026-01-01 |" in page


def test_rules_in_a_list_and_rules_inside_rules_have_rows_of_their_own() -> None:
    found = {"term": [{"id": "ctcae.anemia", "criterion": "outer", "grade": [{"criterion": "inner"}]}]}
    assert [(name, rule["criterion"]) for name, rule in rules.rules_of(found)] == [
        ("ctcae.anemia", "outer"),
        ("ctcae.anemia.grade.1", "inner"),
    ]


@pytest.mark.parametrize(
    "target",
    [pytest.param(Light.GREEN, id="one phase"), pytest.param(frozenset({Light.GREEN}), id="a set of phases")],
)
def test_a_transition_is_an_arrow_with_its_cause(target: Light | frozenset[Light]) -> None:
    assert "RED --> GREEN: button" in diagrams.diagram({Light.RED: {Push.BUTTON: target}})


def test_a_test_is_a_sentence_with_its_cases_beneath() -> None:
    module = ast.parse('@mark([param(1, id="exactly at 72 h")])\ndef test_a_draw_is_due(): ...\ndef helper(): ...\n')
    (test,) = specification.tests_of(module)
    assert list(specification.case_ids(test)) == ["exactly at 72 h"]


def test_a_bar_in_a_cell_does_not_break_the_table() -> None:
    assert table(["a"], [["x | y"]]).endswith("| x \\| y |\n")


def test_a_stale_page_fails_the_check_and_is_mended_by_writing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(pages, "DOCS", tmp_path)
    monkeypatch.setattr(pages, "PAGES", {"topics.md": topics.render})
    (tmp_path / "topics.md").write_text("edited by hand")
    assert pages.main(["--check"]) == 1
    assert "run `make docs`" in capsys.readouterr().err
    assert pages.main([]) == 0
    assert pages.main(["--check"]) == 0
