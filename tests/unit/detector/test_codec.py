import os
import zlib
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from services.detector import codec
from services.detector.domain import patient
from services.detector.domain.patient import Head
from services.detector.domain.values import Event
from services.detector.rulebook import load_rulebook
from services.detector.translate.incoming import fact
from tests.support.recording import recording
from tests.unit.detector.minds import a_head

GOLDEN = Path(__file__).parents[2] / "golden" / "detector"
UNTIL = datetime(2026, 3, 10, 12, tzinfo=UTC)


def a_course(draws: int = 6) -> Head:
    """The head of a patient with an open episode, alerts and a plan."""
    rules, head, history = load_rulebook(Path("no-site")), None, list[Event]()
    for message in recording(1, draws, UNTIL, rising_every=1):
        event = fact(message.encode())
        head = patient.decide(head, (event,), history=tuple(history), rules=rules, now=UNTIL).head
        history.append(event)
    assert head is not None
    return head


def test_a_head_comes_back_as_it_was() -> None:
    assert codec.decode(codec.encode(a_head())) == a_head()
    assert codec.decode(codec.encode(a_course())) == a_course()


def test_a_head_decides_the_same_whether_it_was_stored_or_not() -> None:
    rules = load_rulebook(Path("no-site"))
    kept = a_course()
    *_, last = recording(1, 7, UNTIL + timedelta(hours=1), rising_every=1)
    following, stored = fact(last.encode()), codec.decode(codec.encode(kept))
    for events in ((), (following,)):
        now = UNTIL + timedelta(hours=2)
        one, other = (patient.decide(head, events, history=None, rules=rules, now=now) for head in (kept, stored))
        assert one == other


def test_heads_that_an_earlier_software_wrote_are_still_read() -> None:
    """`UPDATE_GOLDEN=1` rewrites them: only together with a reader for what is in the stores already."""
    if os.environ.get("UPDATE_GOLDEN"):
        (GOLDEN / "head_v1.bin").write_bytes(codec.encode(a_course()))
        (GOLDEN / "head_v1.json").write_bytes(msgspec.json.format(msgspec.json.encode(a_course()), indent=1))
    head = codec.decode((GOLDEN / "head_v1.bin").read_bytes())
    written = msgspec.json.decode((GOLDEN / "head_v1.json").read_bytes())
    assert holds(msgspec.json.decode(msgspec.json.encode(head)), written | {"after": None})


def holds(found: object, written: object) -> bool:
    """Everything that was written is there; fields that came later may be there too."""
    if isinstance(written, dict) and isinstance(found, dict):
        return all(name in found and holds(found[name], value) for name, value in written.items())
    if isinstance(written, list) and isinstance(found, list):
        return len(found) == len(written) and all(map(holds, found, written))
    return found == written


@pytest.mark.parametrize("body", [pytest.param(b"", id="nothing"), pytest.param(b"\xfe123", id="a newer version")])
def test_a_head_of_another_version_is_refused_rather_than_misread(body: bytes) -> None:
    with pytest.raises(codec.UnknownVersion):
        codec.decode(body)


def test_a_damaged_head_is_never_read_as_an_empty_one() -> None:
    whole = codec.encode(a_head())
    with pytest.raises((zlib.error, msgspec.DecodeError)):
        codec.decode(whole[:-3])


def test_recent_heads_say_what_the_bytes_mean_and_not_what_was_written_last() -> None:
    recent = codec.RecentHeads(size=2)
    newer = replace(a_head(), rules="newer")
    written = recent.encode("PAT1", newer)
    assert recent.decode("PAT1", written) == newer
    assert recent.decode("PAT1", codec.encode(a_head())) == a_head()
    assert recent.decode("PAT1", written) == newer


def test_only_so_many_heads_are_remembered() -> None:
    recent = codec.RecentHeads(size=2)
    for n in range(5):
        recent.encode(f"PAT{n}", a_head())
    assert len(recent._heads) == 2
