"""Result messages (ORU, OUL) → one report per patient. Pure: the time of receipt is an argument.

Law: every OBX ends in exactly one column of the tally. Doubt is a remark, an unknown unit is visible, everything that
cannot be understood is quarantined under its own name; nothing is taken to be normal.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta, tzinfo
from decimal import Context, Decimal

from services.ingest.domain.codes import Meaning, read_code
from services.ingest.domain.identity import (
    Chosen,
    choose_patient,
    field_of,
    hashed,
    key,
    order_number,
    sex_of,
)
from services.ingest.domain.message import NULL, Message, component, unescape
from services.ingest.domain.numbers import Limits, Number, read_limits, read_number
from services.ingest.domain.outcome import Quarantined, Tally
from services.ingest.domain.profile import Naming, Profile
from services.ingest.domain.remarks import remarks_in
from services.ingest.domain.structure import Group, Observation, Person, read_structure
from services.ingest.domain.tables import Tables
from services.ingest.domain.times import INVALID, NOTHING, Stamp, read_birth_date, read_time, zone_of
from services.ingest.domain.units import UnitFault, fold, read_unit
from services.ingest.domain.values import (
    Comparator,
    EventId,
    LabReport,
    Original,
    PatientRef,
    Precision,
    Remark,
    Result,
    ResultId,
)

STATUSES = frozenset("FPCABVDWXIONRSU")
"""HL7 table 0085, as far as RULES know what to do with the letter."""
_CANCELLED = "X"
_QUERY_ANSWERS = frozenset("YZ")
_WITHOUT_VALUE = frozenset("ION")
_NOT_BLOOD = frozenset({"UR", "URN", "URINE", "U", "CSF", "STL", "STOOL", "SAL", "FLU", "PLR", "ASC", "SPT", "SNV", "ABL"})
_FUTURE = timedelta(minutes=10)
_NO_TIME = timedelta(0)
_SLACK = {
    Precision.SECOND: _NO_TIME,
    Precision.MINUTE: timedelta(minutes=1),
    Precision.HOUR: timedelta(hours=1),
    Precision.DAY: timedelta(hours=12),
    Precision.UNKNOWN: _NO_TIME,
}
_EXACT = Context(prec=200)
_ONE = Decimal(1)
_ZERO = Decimal(0)


@dataclass(frozen=True, slots=True)
class Extracted:
    """What a result message holds. `no_patient`: why nobody in it can be named, if nobody can."""

    reports: tuple[LabReport, ...]
    tally: Tally
    quarantined: tuple[Quarantined, ...]
    notes: Mapping[str, int]
    no_patient: str | None = None
    position: str = ""


@dataclass(slots=True)
class _Sheet:
    """The columns while they fill."""

    results: dict[PatientRef, list[tuple[str, Result]]] = field(default_factory=dict)
    tokens: dict[PatientRef, tuple[str | None, str | None]] = field(default_factory=dict)
    published: int = 0
    unmapped: int = 0
    ignored: int = 0
    quarantined: list[Quarantined] = field(default_factory=list)
    notes: dict[str, int] = field(default_factory=dict)

    def note(self, name: str) -> None:
        self.notes[name] = self.notes.get(name, 0) + 1

    def quarantine(self, reason: str, number: int, ref: PatientRef | None) -> None:
        self.quarantined.append(Quarantined(reason, f"OBX[{number}]", ref))

    def tally(self) -> Tally:
        return Tally(self.published, len(self.quarantined), self.unmapped, self.ignored)


@dataclass(frozen=True, slots=True)
class _Feed:
    """What stays the same while one message is read."""

    tables: Tables
    profile: Profile
    separators: str
    zone: tzinfo
    facility: str
    sent: Stamp
    received_at: datetime


@dataclass(frozen=True, slots=True)
class _Draw:
    """What stays the same for the observations of one OBR."""

    ref: PatientRef
    birth: str | None
    order: str
    specimen_id: str | None
    specimen: str | None
    collected: Stamp
    collected_text: str
    lab_time: Stamp
    resulted: Stamp
    cancelled: bool
    remarks: tuple[Remark, ...]


def extract(
    message: Message, *, tables: Tables, profile: Profile, naming: Naming, received_at: datetime
) -> Extracted:
    """Read all results of a message.

    1. Sort the segments by position into persons, orders, observations.
    2. Name each person; observations of a person nobody can name are quarantined.
    3. Per order: times, specimen, order number, what its notes say. Per observation: code, status, value, unit, limits.
    4. Bind the results of each person into one report.
    """
    header = message.header
    separators = header.separators
    zone = zone_of(header.message_time) or profile.zone
    feed = _Feed(
        tables=tables,
        profile=profile,
        separators=separators,
        zone=zone,
        facility=profile.facility_name or component(header.sending_facility, 1, separators) or profile.name,
        sent=read_time(component(header.message_time, 1, separators), zone),
        received_at=received_at,
    )
    sheet = _Sheet(notes=message.notes)
    persons = read_structure(message.lines, separators[0], specimen_first=header.code == "OUL")
    faults = [fault for person in persons if (fault := _read_person(feed, naming, person, header.version, sheet))]
    if len(faults) == len(persons):
        reason, position = faults[0] if faults else ("no_patient", "PID")
        return Extracted((), sheet.tally(), (), sheet.notes, reason, position)
    reports = tuple(
        _report(ref, results, sheet.tokens[ref], profile.name, header.control_id, received_at)
        for ref, results in sheet.results.items()
    )
    return Extracted(reports, sheet.tally(), tuple(sheet.quarantined), sheet.notes)


def _read_person(
    feed: _Feed, naming: Naming, person: Person, version: str, sheet: _Sheet
) -> tuple[str, str] | None:
    """Read one person's results into the sheet, or say why the person cannot be named."""
    chosen = choose_patient(person.pid, feed.separators, version, feed.profile)
    if not isinstance(chosen, Chosen):
        for group in person.groups:
            for observation in group.observations:
                sheet.quarantine(chosen, observation.number, None)
        return chosen, f"PID[{person.number}].3"
    ref = PatientRef(naming.patient_ref(chosen.authority, chosen.value))
    birth = read_birth_date(component(field_of(person.pid, 7), 1, feed.separators))
    sex = sex_of(field_of(person.pid, 8), feed.separators)
    if ref not in sheet.tokens:
        sheet.tokens[ref] = (
            naming.token("birth-date", birth) if birth else None,
            naming.token("sex", sex) if sex else None,
        )
    for group in person.groups:
        _read_group(feed, group, ref, birth, sheet)
    return None


def _read_group(feed: _Feed, group: Group, ref: PatientRef, birth: str | None, sheet: _Sheet) -> None:
    if group.obr is None:
        for observation in group.observations:
            sheet.quarantine("no_obr", observation.number, ref)
        return
    status = component(field_of(group.obr, 25), 1, feed.separators).upper()
    if status in _QUERY_ANSWERS:
        sheet.ignored += len(group.observations)
        return
    wanted: list[tuple[Observation, Meaning]] = []
    said = [*group.comments]
    for observation in group.observations:
        text = field_of(observation.fields, 3)
        meaning = read_code(feed.tables, feed.profile, feed.separators, text)
        if meaning.entry is not None:
            wanted.append((observation, meaning))
            continue
        sheet.unmapped += 1
        said += [field_of(observation.fields, 5), *observation.comments]
    if wanted:
        draw = _read_draw(feed, group, ref, birth, sheet, said, cancelled=status == _CANCELLED)
        for observation, meaning in wanted:
            _read_observation(feed, draw, observation, meaning, sheet)


def _read_draw(
    feed: _Feed,
    group: Group,
    ref: PatientRef,
    birth: str | None,
    sheet: _Sheet,
    said: list[str],
    *,
    cancelled: bool,
) -> _Draw:
    """Read what holds for a whole order. The specimen's time is OBR-7, else SPM-17; OBX-14 and OBR-14 come later."""
    signs = feed.separators
    collected_text = component(field_of(group.obr, 7), 1, signs)
    collected = read_time(collected_text, feed.zone)
    if collected.at is None:
        second = read_time(component(field_of(group.spm, 17), 1, signs), feed.zone)
        if collected is INVALID:
            sheet.note("time_invalid")
        collected = Stamp(second.at, second.precision, odd=second.odd or collected.odd)
    resulted = read_time(component(field_of(group.obr, 22), 1, signs), feed.zone)
    if resulted.at is None:
        resulted = feed.sent
    condition = _first(field_of(group.spm, 24), signs)
    sample = field_of(group.spm, 4) or field_of(group.obr, 15).split(signs[4], 1)[0]
    return _Draw(
        ref=ref,
        birth=birth,
        order=key(feed.facility, ref, order_number(group.obr, group.orc, signs)),
        specimen_id=_specimen_id(field_of(group.spm, 2), signs),
        specimen=_first(sample, signs).upper() or None,
        collected=collected,
        collected_text=collected_text,
        lab_time=read_time(component(field_of(group.obr, 14), 1, signs), feed.zone),
        resulted=resulted,
        cancelled=cancelled,
        remarks=_remarks([*said, condition], signs),
    )


def _first(text: str, separators: str) -> str:
    """Code of a CWE, else its text."""
    return component(text, 1, separators) or component(text, 2, separators)


def _specimen_id(text: str, separators: str) -> str | None:
    """SPM-2 is a pair of EI: the placer's and the filler's; the filler's is the laboratory's own."""
    parts = [part.split(separators[4], 1)[0] for part in text.split(separators[1])]
    chosen = next((part for part in (*parts[1:2], parts[0]) if part.strip() and part != NULL), "")
    return unescape(chosen, separators).strip()[:200] or None


def _remarks(texts: list[str], separators: str) -> tuple[Remark, ...]:
    """Numbers and empty fields say nothing; texts may."""
    found: set[Remark] = set()
    for text in texts:
        if text and not text.isascii() or any(char.isalpha() for char in text[:200]):
            found.update(remarks_in(unescape(text[:2000], separators)))
    return tuple(sorted(found))


def _read_observation(
    feed: _Feed, draw: _Draw, observation: Observation, meaning: Meaning, sheet: _Sheet
) -> None:
    """Read one observation of a known code into exactly one column."""
    fields, number = observation.fields, observation.number
    fields.extend([""] * (18 - len(fields)))
    status = _CANCELLED if draw.cancelled else component(fields[11], 1, feed.separators).upper()
    if meaning.conflict:
        sheet.quarantine("code_conflict", number, draw.ref)
    elif draw.specimen in _NOT_BLOOD:
        _not_blood(draw, meaning, number, sheet)
    elif status not in STATUSES:
        sheet.quarantine("status_unknown", number, draw.ref)
    else:
        value = read_number(fields[2], fields[5], feed.separators, feed.profile.decimal_sign)
        fault = _value_fault(feed, fields, value, status)
        if fault is not None:
            sheet.quarantine(fault, number, draw.ref)
        else:
            _publish(feed, draw, observation, meaning, value, status, sheet)


def _not_blood(draw: _Draw, meaning: Meaning, number: int, sheet: _Sheet) -> None:
    """A source's own code may serve urine and blood alike; a LOINC says blood, so the two contradict each other."""
    if meaning.from_loinc:
        sheet.quarantine("specimen_conflict", number, draw.ref)
    else:
        sheet.unmapped += 1
        sheet.note("specimen_not_blood")


def _value_fault(feed: _Feed, fields: list[str], value: Number, status: str) -> str | None:
    if value.value is None and fields[4] and fields[5] and fold(fields[5]) in feed.tables.known_units:
        shifted = read_number("NM", fields[4], feed.separators, feed.profile.decimal_sign)
        if shifted.value is not None:
            return "field_shift"
    if value.fault is not None:
        return None if status in _WITHOUT_VALUE else value.fault
    if value.value is not None and value.value < _ZERO:
        return "value_negative"
    if value.unit and fields[6].strip() and fold(value.unit) != fold(component(fields[6], 1, feed.separators)):
        return "value_unparsable"
    return None


def _publish(
    feed: _Feed,
    draw: _Draw,
    observation: Observation,
    meaning: Meaning,
    number: Number,
    status: str,
    sheet: _Sheet,
) -> None:
    fields, entry = observation.fields, meaning.entry
    assert entry is not None
    signs, profile = feed.separators, feed.profile
    unit = read_unit(feed.tables, profile, entry, signs, fields[6] or number.unit, from_loinc=meaning.from_loinc)
    if unit.fault is not None and number.value is not None:
        if unit.fault is UnitFault.CONFLICT:
            sheet.quarantine(unit.fault, observation.number, draw.ref)
            return
        sheet.note(unit.fault)
    limits = read_limits(fields[7], unit.text or "", signs, profile.decimal_sign)
    if not limits.understood:
        sheet.note("range_text")
    value, comparator = _without_number_if(number, status, known=unit.factor is not None)
    if comparator is not None:
        sheet.note("censored")
    collected, suspect = _collected(feed, draw, fields[14], sheet)
    remarks = draw.remarks
    if observation.comments or number.value is None:
        remarks = tuple(sorted({*remarks, *_remarks([*observation.comments, number.text or ""], signs)}))
    order = key(draw.order, entry.analyte, component(fields[4], 1, signs))
    taken = draw.specimen_id or (collected.at.isoformat() if collected.at else draw.collected_text)
    result = Result(
        result_id=ResultId(hashed(key(order, taken))),
        analyte=entry.analyte,
        code=meaning.code,
        value=_times(value, unit.factor),
        comparator=comparator,
        unit=entry.canonical_unit if unit.factor is not None else None,
        original=Original(number.text, unit.text),
        reference_low=_times(limits.low, unit.factor),
        reference_high=_times(limits.high, unit.factor),
        status=status,
        collected_at=collected.at,
        collected_precision=collected.precision,
        resulted_at=draw.resulted.at,
        specimen=draw.specimen,
        assay=_first(fields[17], signs)[:100] or None if fields[17] else None,
        remarks=(*remarks, Remark.TIME_SUSPECT) if suspect else remarks,
        order_key=hashed(order),
        specimen_id=draw.specimen_id,
    )
    sheet.published += 1
    sheet.results.setdefault(draw.ref, []).append((_content(result, remarks), result))


def _without_number_if(number: Number, status: str, *, known: bool) -> tuple[Decimal | None, Comparator | None]:
    """A pending result has no number yet, and a number in an unknown unit is shown as sent, never as canonical."""
    if status in _WITHOUT_VALUE or not known:
        return None, None
    return number.value, number.comparator


def _times(value: Decimal | None, factor: Decimal | None) -> Decimal | None:
    """One exact multiplication; nothing is rounded."""
    if value is None or factor is None:
        return None
    return value if factor == _ONE else _EXACT.multiply(value, factor)


def _collected(feed: _Feed, draw: _Draw, observed: str, sheet: _Sheet) -> tuple[Stamp, bool]:
    """Return the specimen's time and whether it is to be doubted. A fall-back to OBR-14, the arrival, is doubtful."""
    stamp, fallback = draw.collected, False
    if stamp.at is None:
        later = read_time(component(observed, 1, feed.separators), feed.zone)
        if later.at is None:
            later, fallback = draw.lab_time, True
        stamp = Stamp(later.at, later.precision, odd=stamp.odd or later.odd)
    if stamp.at is None:
        sheet.note("no_time")
        return Stamp(None, Precision.UNKNOWN), stamp.odd
    suspect = stamp.odd or fallback or _is_impossible(feed, draw, stamp.at, stamp.precision)
    if suspect:
        sheet.note("time_suspect")
    return stamp, suspect


def _is_impossible(feed: _Feed, draw: _Draw, at: datetime, precision: Precision) -> bool:
    """In the future, too old for a live feed, after its own result, or before birth."""
    earliest = at - _SLACK[Precision.DAY] if precision is Precision.DAY else at
    if earliest > feed.received_at + _FUTURE or at < feed.received_at - timedelta(days=feed.profile.live_days):
        return True
    resulted = draw.resulted
    if resulted.at is not None and earliest > resulted.at + _SLACK[resulted.precision]:
        return True
    return draw.birth is not None and at.astimezone(feed.zone).date().isoformat() < draw.birth


def _content(result: Result, remarks: tuple[Remark, ...]) -> str:
    """Return what a result says as one text, without what depends on when it was received."""
    code, original = result.code, result.original
    return key(
        result.result_id,
        code.value or "",
        code.system or "",
        str(result.value),
        result.comparator or "",
        original.value or "",
        original.unit or "",
        str(result.reference_low),
        str(result.reference_high),
        result.status,
        result.collected_at.isoformat() if result.collected_at else "",
        result.collected_precision,
        result.resulted_at.isoformat() if result.resulted_at else "",
        result.specimen or "",
        result.assay or "",
        *remarks,
    )


def _report(
    ref: PatientRef,
    results: list[tuple[str, Result]],
    tokens: tuple[str | None, str | None],
    source: str,
    control_id: str,
    received_at: datetime,
) -> LabReport:
    """Bind one patient's results. The id is made of the content in a fixed order, so a repetition gets it again."""
    birth, sex = tokens
    content = sorted(text for text, _ in results)
    return LabReport(
        event_id=EventId(hashed(key("lab-report", ref, birth or "", sex or "", *content))),
        patient_ref=ref,
        source=source,
        received_at=received_at,
        control_id=control_id[:199] or None,
        birth_date_token=birth,
        sex_token=sex,
        results=tuple(result for _, result in results),
    )
