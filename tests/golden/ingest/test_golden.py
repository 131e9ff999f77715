"""Every `<case>.hl7` gives its `<case>.json`. `UPDATE_GOLDEN=1` writes them anew: then read the difference.

In the files a line feed ends a segment; the reader takes any end. `\\xHH` in a first line that begins with `#bytes`
stands for that byte in the rest of the file.
"""

import dataclasses
import json
import os
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from services.common.identifiers import keyed_token, patient_ref
from services.ingest.domain.ack import acknowledge
from services.ingest.domain.outcome import FrameOutcome, Header, messages_of
from services.ingest.domain.profile import Naming, Profile
from services.ingest.domain.reading import read_frame
from services.ingest.rulebook import load_profiles, load_tables

HERE = Path(__file__).parent
CASES = sorted(path.stem for path in HERE.glob("*.hl7"))
RECEIVED_AT = datetime(2026, 1, 20, 4, 0, tzinfo=UTC)
SITE_KEY = b"golden site key, known to everybody"
MARK = b"#bytes\n"


def _frame(case: str) -> bytes:
    content = (HERE / f"{case}.hl7").read_bytes()
    if not content.startswith(MARK):
        return content
    return content.removeprefix(MARK).decode("unicode_escape").encode("latin-1")


def _plain(value: object) -> Any:
    match value:
        case Profile():
            return value.name
        case Header():
            return value.message_type
        case datetime():
            return value.isoformat()
        case Decimal():
            return format(value, "f")
        case Mapping():
            return dict(sorted((str(key), item) for key, item in value.items()))
        case tuple():
            return [_plain(item) for item in value]
        case _ if dataclasses.is_dataclass(value) and not isinstance(value, type):
            fields = {field.name: _plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
            return {name: item for name, item in fields.items() if item not in (None, [], {}, "")}
        case _:
            return value


def _read(case: str) -> FrameOutcome:
    tables = load_tables()
    naming = Naming(partial(patient_ref, SITE_KEY), partial(keyed_token, SITE_KEY))
    profiles = load_profiles(HERE / "site", tables)
    return read_frame(_frame(case), tables=tables, profiles=profiles, naming=naming, received_at=RECEIVED_AT)


@pytest.mark.parametrize("case", CASES)
def test_a_message_gives_what_its_golden_file_says(case: str) -> None:
    outcome = _read(case)
    answer = acknowledge(outcome, now=RECEIVED_AT)
    said = {
        "outcomes": [{"kind": type(part).__name__, **_plain(part)} for part in messages_of(outcome)],
        "answer": None if answer is None else answer.decode(outcome.header.codec if outcome.header else "utf-8"),
    }
    text = json.dumps(said, ensure_ascii=False, indent=1) + "\n"
    path = HERE / f"{case}.json"
    if os.environ.get("UPDATE_GOLDEN") == "1":
        path.write_text(text, "utf-8")
    assert text == path.read_text("utf-8")


def test_every_golden_file_has_its_other_half() -> None:
    assert sorted(path.stem for path in HERE.glob("*.json")) == CASES
    strangers = {path.name for path in HERE.iterdir()} - {f"{case}{end}" for case in CASES for end in (".hl7", ".json")}
    assert strangers <= {"__init__.py", "__pycache__", "site", "test_golden.py"}
    assert CASES
