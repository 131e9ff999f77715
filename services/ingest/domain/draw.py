"""One order of one patient → what holds for all its observations: times, specimen, order number, what notes say.

The clinical time is the specimen's: OBR-7, else SPM-17, else OBX-14. OBR-14 is the arrival in the laboratory: doubtful.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from services.ingest.domain.identity import field_of, key, order_number
from services.ingest.domain.message import NULL, component, unescape
from services.ingest.domain.remarks import remarks_in
from services.ingest.domain.sheet import Feed, Sheet, Subject
from services.ingest.domain.structure import Group
from services.ingest.domain.times import INVALID, Stamp, read_time
from services.ingest.domain.values import Precision, Remark

CANCELLED = "X"
_FUTURE = timedelta(minutes=10)
_NO_TIME = timedelta(0)
_SLACK = {
    Precision.SECOND: _NO_TIME,
    Precision.MINUTE: timedelta(minutes=1),
    Precision.HOUR: timedelta(hours=1),
    Precision.DAY: timedelta(hours=12),
    Precision.UNKNOWN: _NO_TIME,
}
_SPECIMENS = {
    "SERUM": "SER",
    "血清": "SER",
    "PLASMA": "PLAS",
    "血浆": "PLAS",
    "WHOLE BLOOD": "BLD",
    "BLOOD": "BLD",
    "WB": "BLD",
    "全血": "BLD",
    "URINE": "UR",
    "URN": "UR",
    "尿": "UR",
    "尿液": "UR",
}
_READ_CHARACTERS = 2000


@dataclass(frozen=True, slots=True)
class Collection:
    """When a specimen was taken; `text` names the time in keys, whatever could be read of it."""

    at: datetime | None
    precision: Precision
    suspect: bool
    text: str


@dataclass(frozen=True, slots=True)
class Draw:
    """What stays the same for the observations of one OBR. Without `collection` each observation has its own."""

    subject: Subject
    birth: str | None
    order: str
    specimen_id: str | None
    specimen: str | None
    stated: Stamp
    stated_text: str
    lab_time: Stamp
    collection: Collection | None
    resulted: Stamp
    resulted_text: str
    cancelled: bool
    remarks: tuple[Remark, ...]


def read_draw(
    feed: Feed, group: Group, subject: Subject, birth: str | None, said: list[str], sheet: Sheet, *, cancelled: bool
) -> Draw:
    """Read what holds for a whole order. `said`: the texts of its notes and of observations that are no analyte."""
    signs = feed.separators
    stated_text = component(field_of(group.obr, 7), 1, signs)
    stated = _stated(feed, group, stated_text, sheet)
    resulted = read_time(component(field_of(group.obr, 22), 1, signs), feed.zone)
    if resulted.at is None:
        resulted = feed.sent
    sample = field_of(group.spm, 4) or field_of(group.obr, 15).split(signs[4], 1)[0]
    collection = None
    if stated.at is not None:
        suspect = stated.odd or _is_impossible(feed, stated.at, stated.precision, resulted, birth)
        collection = Collection(stated.at, stated.precision, suspect, stated.at.isoformat())
    return Draw(
        subject=subject,
        birth=birth,
        order=key(feed.facility, subject.ref, order_number(group.obr, group.orc, signs)),
        specimen_id=_specimen_id(field_of(group.spm, 2), signs),
        specimen=_specimen(first_of(sample, signs)),
        stated=stated,
        stated_text=stated_text,
        lab_time=read_time(component(field_of(group.obr, 14), 1, signs), feed.zone),
        collection=collection,
        resulted=resulted,
        resulted_text=resulted.at.isoformat() if resulted.at is not None else "",
        cancelled=cancelled,
        remarks=read_remarks([*said, first_of(field_of(group.spm, 24), signs)], signs),
    )


def _stated(feed: Feed, group: Group, text: str, sheet: Sheet) -> Stamp:
    """Return OBR-7, else SPM-17 (a range: its start)."""
    stamp = read_time(text, feed.zone)
    if stamp is INVALID:
        sheet.note("time_invalid")
    if stamp.at is not None:
        return stamp
    second = read_time(component(field_of(group.spm, 17), 1, feed.separators), feed.zone)
    return Stamp(second.at, second.precision, odd=second.odd or stamp.odd)


def collection_of(feed: Feed, draw: Draw, observed: str) -> Collection:
    """Return the time of one observation's specimen where its order has none: OBX-14 (`observed`), else OBR-14."""
    stamp = read_time(component(observed, 1, feed.separators), feed.zone)
    fallback = stamp.at is None
    if fallback:
        stamp = draw.lab_time
    odd = stamp.odd or draw.stated.odd
    if stamp.at is None:
        return Collection(None, Precision.UNKNOWN, odd, draw.stated_text)
    suspect = odd or fallback or _is_impossible(feed, stamp.at, stamp.precision, draw.resulted, draw.birth)
    return Collection(stamp.at, stamp.precision, suspect, stamp.at.isoformat())


def _is_impossible(feed: Feed, at: datetime, precision: Precision, resulted: Stamp, birth: str | None) -> bool:
    """In the future, too old for a live feed, after its own result, or before birth."""
    earliest = at - _SLACK[Precision.DAY] if precision is Precision.DAY else at
    if earliest > feed.received_at + _FUTURE or at < feed.received_at - timedelta(days=feed.profile.live_days):
        return True
    if resulted.at is not None and earliest > resulted.at + _SLACK[resulted.precision]:
        return True
    return birth is not None and at.astimezone(feed.zone).date().isoformat() < birth


def first_of(text: str, separators: str) -> str:
    """Code of a CWE, else its text."""
    return component(text, 1, separators) or component(text, 2, separators)


def _specimen(text: str) -> str | None:
    """Return the code of HL7 table 0487 where the usual words for it were sent, else what was sent."""
    name = text.upper()[:100]
    return _SPECIMENS.get(name, name) or None


def _specimen_id(text: str, separators: str) -> str | None:
    """SPM-2 is a pair of EI: the placer's and the filler's; the filler's is the laboratory's own."""
    parts = [part.split(separators[4], 1)[0] for part in text.split(separators[1])]
    chosen = next((part for part in (*parts[1:2], parts[0]) if part.strip() and part != NULL), "")
    return unescape(chosen, separators).strip()[:200] or None


def read_remarks(texts: list[str], separators: str) -> tuple[Remark, ...]:
    """Return what texts say against a specimen. Numbers and empty fields say nothing."""
    found: set[Remark] = set()
    for text in texts:
        if text and any(char.isalpha() for char in text[:_READ_CHARACTERS]):
            found.update(remarks_in(unescape(text[:_READ_CHARACTERS], separators)))
    return tuple(sorted(found))
