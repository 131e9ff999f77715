"""Notes that speak against a specimen, and notes that say it is fine."""

import pytest

from services.ingest.domain.remarks import remarks_in
from services.ingest.domain.values import Remark


@pytest.mark.parametrize(
    ("text", "remarks"),
    [
        ("Specimen haemolysed", {Remark.HAEMOLYSED}),
        ("HEMOLYZED", {Remark.HAEMOLYSED}),
        ("moderate hemolysis", {Remark.HAEMOLYSED}),
        ("HEM", {Remark.HAEMOLYSED}),
        ("标本溶血(+)", {Remark.HAEMOLYSED}),
        ("slightly lipemic; clotted", {Remark.LIPAEMIC, Remark.CLOTTED}),
        ("乳糜血", {Remark.LIPAEMIC}),
        ("icteric +++", {Remark.ICTERIC}),
        ("标本有凝块", {Remark.CLOTTED}),
        ("QNS", {Remark.INSUFFICIENT}),
        ("样本量不足", {Remark.INSUFFICIENT}),
        ("There was no delay. Haemolysed.", {Remark.HAEMOLYSED}),
        ("no haemolysis seen", set()),
        ("not hemolyzed", set()),
        ("non-hemolysed", set()),
        ("unclotted", set()),
        ("Hemolysis index: 0", set()),
        ("Haemolysis: none", set()),
        ("未见溶血", set()),
        ("无溶血，脂血", {Remark.LIPAEMIC}),
        ("sent to HEM lab", set()),
        ("chemistry", set()),
        ("", set()),
    ],
)
def test_a_note_says_what_it_says(text: str, remarks: set[Remark]) -> None:
    assert set(remarks_in(text)) == remarks
