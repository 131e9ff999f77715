"""One OBX → one result, or the column it belongs to instead. Law: exactly one column, nothing is taken to be normal.

An unknown unit is visible and unusable; what cannot be understood is quarantined under its own name.
"""

from decimal import Context, Decimal

from services.ingest.domain.codes import Meaning
from services.ingest.domain.draw import CANCELLED, Collection, Draw, collection_of, first_of, read_remarks
from services.ingest.domain.identity import hashed, key
from services.ingest.domain.message import component
from services.ingest.domain.numbers import Number, read_limits, read_number
from services.ingest.domain.sheet import Feed, Sheet
from services.ingest.domain.structure import Observation
from services.ingest.domain.tables import CodeEntry
from services.ingest.domain.units import Unit, UnitFault, fold, read_unit
from services.ingest.domain.values import Comparator, Original, Remark, Result, ResultId

STATUSES = frozenset("FPCABVDWXIONRSU")
"""HL7 table 0085, as far as the rules of the detector know what to do with the letter."""
_WITHOUT_VALUE = frozenset("ION")
_TAKES_BACK = frozenset("CDWX")
"""Letters that say that what was published no longer holds: heard even where the new value is not understood."""
_NOT_BLOOD = frozenset(
    {"UR", "CSF", "STL", "STOOL", "SAL", "FLU", "PLR", "ASC", "SPT", "SNV", "脑脊液", "粪便", "胸水", "腹水"}
)
"""HL7 table 0487 and the words for them; after `draw` has made the usual words codes."""
_LAST_FIELD = 17
_EXACT = Context(prec=200)
_ONE = Decimal(1)
_ZERO = Decimal(0)


def read_observation(feed: Feed, draw: Draw, observation: Observation, meaning: Meaning, sheet: Sheet) -> None:
    """Read one observation of one of our codes into exactly one column of the sheet."""
    fields, entry = observation.fields, meaning.entry
    if len(fields) <= _LAST_FIELD:
        fields.extend([""] * (_LAST_FIELD + 1 - len(fields)))
    if entry is None:
        sheet.unmapped += 1
        return
    if draw.specimen in _NOT_BLOOD and not meaning.from_loinc:
        # A source's own code may serve urine and blood alike.
        sheet.unmapped += 1
        sheet.note("specimen_not_blood")
        return
    status = CANCELLED if draw.cancelled else fields[11]
    if status not in STATUSES:
        status = component(status, 1, feed.separators).upper()
    number = read_number(fields[2], fields[5], feed.separators, feed.profile.decimal_sign)
    text = fields[6] if fields[6].strip() else number.unit
    unit = read_unit(feed.tables, feed.profile, entry, feed.separators, text, from_loinc=meaning.from_loinc)
    fault = _fault(feed, draw, meaning, fields, status, number)
    wrong = None if fault or status in _WITHOUT_VALUE else _value_fault(feed, fields, number, unit)
    if fault is not None or (wrong is not None and status not in _TAKES_BACK):
        sheet.quarantine(fault or wrong or "", observation.number, draw.subject.ref)
        return
    if wrong is not None:
        sheet.note(wrong)
        number = Number(None, text=number.text)
    if unit.fault is not None and number.value is not None:
        sheet.note(unit.fault)
    _publish(feed, draw, observation, meaning, entry, number, unit, status, sheet)


def _fault(feed: Feed, draw: Draw, meaning: Meaning, fields: list[str], status: str, number: Number) -> str | None:
    """Return why nobody can say what this observation is about, or None."""
    if meaning.conflict:
        return "code_conflict"
    if draw.specimen in _NOT_BLOOD:
        return "specimen_conflict"
    if number.value is None and _is_shifted(feed, fields):
        return "field_shift"
    return "status_unknown" if status not in STATUSES else None


def _is_shifted(feed: Feed, fields: list[str]) -> bool:
    """Tell whether the value stands in OBX-4 and the unit in OBX-5, as some analysers write it."""
    if not fields[4] or not fields[5] or fold(fields[5]) not in feed.tables.known_units:
        return False
    return read_number("NM", fields[4], feed.separators, feed.profile.decimal_sign).value is not None


def _value_fault(feed: Feed, fields: list[str], number: Number, unit: Unit) -> str | None:
    """Return why its value must not be used, or None."""
    if number.value is None:
        return number.fault
    if number.value < _ZERO:
        return "value_negative"
    if number.unit and fields[6].strip() and fold(number.unit) != fold(component(fields[6], 1, feed.separators)):
        return "value_unparsable"
    return UnitFault.CONFLICT if unit.fault is UnitFault.CONFLICT else None


def _publish(
    feed: Feed,
    draw: Draw,
    observation: Observation,
    meaning: Meaning,
    entry: CodeEntry,
    number: Number,
    unit: Unit,
    status: str,
    sheet: Sheet,
) -> None:
    """Make the result: convert value and limits by one exact factor, name it, put it on the sheet."""
    fields, signs, factor = observation.fields, feed.separators, unit.factor
    limits = read_limits(fields[7], unit.text or "", signs, feed.profile.decimal_sign)
    if not limits.understood:
        sheet.note("range_text")
    value, comparator = _value_of(number, status, known=factor is not None)
    if comparator is not None:
        sheet.note("censored")
    collection = draw.collection or collection_of(feed, draw, fields[14])
    _note_time(collection, sheet)
    remarks = draw.remarks
    if observation.comments or number.value is None:
        remarks = tuple(sorted({*remarks, *read_remarks([*observation.comments, number.text or ""], signs)}))
    order = key(draw.order, entry.analyte, component(fields[4], 1, signs) if fields[4] else "")
    result = Result(
        ResultId(hashed(key(order, draw.specimen_id or collection.text))),
        entry.analyte,
        meaning.code,
        _times(value, factor),
        comparator,
        entry.canonical_unit if factor is not None else None,
        Original(number.text, unit.text),
        _times(limits.low, factor),
        _times(limits.high, factor),
        status,
        collection.at,
        collection.precision,
        draw.resulted.at,
        draw.specimen,
        (first_of(fields[17], signs)[:100] or None) if fields[17] else None,
        (*remarks, Remark.TIME_SUSPECT) if collection.suspect else remarks,
        hashed(order),
        draw.specimen_id,
    )
    sheet.published += 1
    sheet.results.setdefault(draw.subject, []).append((_content(draw, collection, result, remarks), result))


def _value_of(number: Number, status: str, *, known: bool) -> tuple[Decimal | None, Comparator | None]:
    """A pending result has no number yet, and a number in an unknown unit is shown as sent, never as canonical."""
    if status in _WITHOUT_VALUE or not known:
        return None, None
    return number.value, number.comparator


def _note_time(collection: Collection, sheet: Sheet) -> None:
    if collection.at is None:
        sheet.note("no_time")
    elif collection.suspect:
        sheet.note("time_suspect")


def _times(value: Decimal | None, factor: Decimal | None) -> Decimal | None:
    """One exact multiplication; nothing is rounded."""
    if value is None or factor is None:
        return None
    return value if factor == _ONE else _EXACT.multiply(value, factor)


def _content(draw: Draw, collection: Collection, result: Result, remarks: tuple[Remark, ...]) -> str:
    """Return what a result says as one text, without what depends on when it was received."""
    code, original = result.code, result.original
    return key(
        result.result_id,
        code.value or "",
        code.system or "",
        original.value or "",
        original.unit or "",
        str(result.value),
        result.comparator or "",
        str(result.reference_low),
        str(result.reference_high),
        result.status,
        collection.text,
        collection.precision,
        draw.resulted_text,
        result.specimen or "",
        result.assay or "",
        *remarks,
    )
