"""The oracle itself on the worked examples of the specification: the two texts agree before they judge the code."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest

from tests.oracle.cases import SITE, Story, at
from tests.oracle.oracle import decide


def _baseline() -> Story:
    return Story().enrolled().lab("2026-01-02", {"FERRITIN": "80"})


def _three() -> Story:
    return _baseline().lab("2026-01-19", {"FERRITIN": "240"})


def _recovered() -> Story:
    story = _three()
    for day in ("22", "25", "28"):
        story.lab(f"2026-01-{day}", {"FERRITIN": "140"})
    return story


Expected = dict[str, tuple[int, str]]
CASES: list[Any] = [
    pytest.param(
        lambda: _baseline().lab("2026-01-19", {"FERRITIN": "160"}),
        "2026-01-19 12:00", {"ferritin.rise": (1, "P3")}, ("single", "2026-01-22 08:00"), id="1 a doubling is watched",
    ),
    pytest.param(
        lambda: _baseline().lab("2026-01-19", {"FERRITIN": "160"})
        .lab("2026-01-21", {"FERRITIN": "90"}),
        "2026-01-21 12:00", {}, None, id="2 the single repeat clears the watch",
    ),
    pytest.param(_three, "2026-01-19 12:00", {"ferritin.rise": (2, "P2")}, ("every-3-days", "2026-01-22 08:00"),
                 id="3 a threefold rise opens an episode"),
    pytest.param(
        lambda: _baseline().lab("2026-01-14", {"FERRITIN": "160"})
        .lab("2026-01-19", {"FERRITIN": "320"}),
        "2026-01-19 12:00", {"ferritin.rise": (2, "P1")}, ("every-3-days", "2026-01-22 08:00"),
        id="4 a fast rise is lifted to P1",
    ),
    pytest.param(lambda: Story().enrolled().lab("2026-01-19", {"FERRITIN": "800"}), "2026-01-19 12:00",
                 {"ferritin.rise": (3, "P2")}, ("every-3-days", "2026-01-22 08:00"), id="5 no baseline, 800"),
    pytest.param(
        lambda: _baseline().lab("2026-01-19", {"FERRITIN": "160"}, order="o")
        .lab("2026-01-19", {"FERRITIN": "106"}, order="o", status="C", resulted=at("2026-01-20 08:00"),
             received=at("2026-01-20 09:00")),
        "2026-01-20 12:00", {}, None, id="6 a correction withdraws",
    ),
    pytest.param(
        lambda: _baseline().lab("2026-01-19", {"FERRITIN": "240"}, order="o")
        .lab("2026-01-19", {"FERRITIN": "100"}, order="o", status="C", resulted=at("2026-01-20 08:00"),
             received=at("2026-01-20 09:00"))
        .lab("2026-01-19", {"FERRITIN": "240"}, order="o", resulted=at("2026-01-20 10:00"),
             received=at("2026-01-20 11:00")),
        "2026-01-20 12:00", {}, None, id="7 a late echo does not undo a correction",
    ),
    pytest.param(
        lambda: Story().enrolled().lab("2026-01-02", {"FERRITIN": "80"}, specimen="PLAS")
        .lab("2026-01-19", {"FERRITIN": "240"}, specimen="SER"),
        "2026-01-19 12:00", {}, None, id="8 serum is not compared with plasma",
    ),
    pytest.param(lambda: Story().enrolled().lab("2026-01-02", {"ALT": "30"}).lab("2026-01-19", {"ALT": "200"}),
                 "2026-01-19 12:00", {"ctcae.alt-increased": (2, "P3")}, ("every-3-days", "2026-01-22 08:00"),
                 id="9 ALT 5.0 x ULN is grade 2"),
    pytest.param(lambda: Story().enrolled().lab("2026-01-02", {"ALT": "100"}).lab("2026-01-19", {"ALT": "260"}),
                 "2026-01-19 12:00", {"ctcae.alt-increased": (1, "P4")}, None, id="10 ALT from a high baseline"),
    pytest.param(lambda: Story().enrolled().lab("2026-01-02", {"CREATININE": "60"})
                 .lab("2026-01-19", {"CREATININE": "95"}),
                 "2026-01-19 12:00", {"ctcae.creatinine-increased": (2, "P3")}, ("every-3-days", "2026-01-22 08:00"),
                 id="13 creatinine against the own baseline"),
    pytest.param(_recovered, "2026-01-28 12:00", {}, None, id="16 three recovered draws end the episode"),
    pytest.param(lambda: _recovered().lab("2026-02-20", {"FERRITIN": "400"}), "2026-02-20 12:00",
                 {"ferritin.rise": (2, "P2")}, ("every-3-days", "2026-02-23 08:00"), id="17 a relapse re-opens"),
    pytest.param(
        lambda: _three().closed("2026-01-20 10:00", "iron", "any").lab("2026-01-23", {"FERRITIN": "250"}),
        "2026-01-23 12:00", {}, None, id="18a what was closed is accepted",
    ),
    pytest.param(
        lambda: _three().closed("2026-01-20 10:00", "iron", "any").lab("2026-01-23", {"FERRITIN": "250"})
        .lab("2026-01-26", {"FERRITIN": "600"}),
        "2026-01-26 12:00", {"ferritin.rise": (3, "P1")}, ("every-3-days", "2026-01-29 08:00"),
        id="18b and a worse one is told",
    ),
    pytest.param(
        lambda: Story().enrolled().lab("2026-01-20", {"POTASSIUM": "7.2"}, remarks=("haemolysed",))
        .lab("2026-01-21", {"POTASSIUM": "4.1"}),
        "2026-01-21 12:00", {"ctcae.hyperkalemia": (4, "P1")}, ("every-3-days", "2026-01-23 08:00"),
        id="19 doubt raises, doubt never clears",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("story", "now", "standing", "plan"), CASES)
def test_the_oracle_agrees_with_the_worked_example(
    story: Callable[[], Story], now: str, standing: Expected, plan: tuple[str, str] | None
) -> None:
    found = decide(story().events, at(now), SITE)
    assert {rule: (level, urgency) for rule, (level, urgency, _) in found.standing.items()} == standing
    assert (None if found.plan is None else (found.plan[0], _local(found.plan[1]))) == plan


def _local(moment: datetime) -> str:
    return moment.astimezone(SITE).strftime("%Y-%m-%d %H:%M")
