"""Result messages (ORU, OUL) → one report per patient. Pure: the time of receipt is an argument.

Law: every OBX ends in exactly one column of the tally; an observation goes to the patient whose PID stands before it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from services.ingest.domain.codes import Meaning, read_code
from services.ingest.domain.draw import CANCELLED, read_draw
from services.ingest.domain.identity import Chosen, choose_patient, field_of, hashed, key, sex_of
from services.ingest.domain.message import Message, component, without_controls
from services.ingest.domain.outcome import Quarantined, Tally
from services.ingest.domain.profile import Naming, Profile
from services.ingest.domain.result import read_observation
from services.ingest.domain.sheet import Feed, Sheet, Subject
from services.ingest.domain.structure import Group, Observation, Person, read_structure
from services.ingest.domain.tables import Tables
from services.ingest.domain.times import read_birth_date, read_time, zone_of
from services.ingest.domain.values import EventId, LabReport, PatientRef, Result

_LONG_TIME = 40
_MAXIMUM_CONTROL_ID = 199
_QUERY_ANSWERS = frozenset("YZ")


@dataclass(frozen=True, slots=True)
class Extracted:
    """What a result message holds. `no_patient`: why nobody in it can be named, if nobody can."""

    reports: tuple[LabReport, ...]
    tally: Tally
    quarantined: tuple[Quarantined, ...]
    notes: Mapping[str, int]
    no_patient: str | None = None
    position: str = ""


def extract(message: Message, *, tables: Tables, profile: Profile, naming: Naming, received_at: datetime) -> Extracted:
    """Read all results of a message.

    1. Sort the segments by position into persons, orders, observations.
    2. Name each person; observations of a person nobody can name are quarantined.
    3. Per order: times, specimen, order number, what its notes say. Per observation: code, status, value, unit, limits.
    4. Bind the results of each person into one report.
    """
    header = message.header
    separators = header.separators
    zone = zone_of(header.message_time) or profile.zone
    feed = Feed(
        tables=tables,
        profile=profile,
        separators=separators,
        zone=zone,
        facility=profile.facility_name or component(header.sending_facility, 1, separators) or profile.name,
        sent=read_time(component(header.message_time, 1, separators)[:_LONG_TIME], zone),
        received_at=received_at,
    )
    sheet = Sheet(notes=message.notes)
    persons = read_structure(message.lines, separators[0], specimen_first=header.code == "OUL")
    faults = [fault for person in persons if (fault := _read_person(feed, naming, person, header.version, sheet))]
    if len(faults) == len(persons):
        reason, position = faults[0] if faults else ("no_patient", "PID")
        return Extracted((), sheet.tally(), (), sheet.notes, reason, position)
    reports = tuple(
        _report(subject, results, profile.name, header.control_id, received_at)
        for subject, results in sheet.results.items()
    )
    return Extracted(reports, sheet.tally(), tuple(sheet.quarantined), sheet.notes)


def _read_person(feed: Feed, naming: Naming, person: Person, version: str, sheet: Sheet) -> tuple[str, str] | None:
    """Read one person's results into the sheet, or say why the person cannot be named."""
    chosen = choose_patient(person.pid, feed.separators, version, feed.profile)
    if not isinstance(chosen, Chosen):
        for group in person.groups:
            for observation in group.observations:
                sheet.quarantine(chosen, observation.number, None)
        return chosen, f"PID[{person.number}].3"
    ref = PatientRef(naming.patient_ref(chosen.authority, chosen.value))
    birth = read_birth_date(component(field_of(person.pid, 7), 1, feed.separators)[:_LONG_TIME])
    sex = sex_of(field_of(person.pid, 8), feed.separators)
    subject = Subject(
        ref, naming.token("birth-date", birth) if birth else None, naming.token("sex", sex) if sex else None
    )
    for group in person.groups:
        _read_group(feed, group, subject, birth, sheet)
    return None


def _read_group(feed: Feed, group: Group, subject: Subject, birth: str | None, sheet: Sheet) -> None:
    if group.obr is None:
        for observation in group.observations:
            sheet.quarantine("no_obr", observation.number, subject.ref)
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
        draw = read_draw(feed, group, subject, birth, said, sheet, cancelled=status == CANCELLED)
        for observation, meaning in wanted:
            read_observation(feed, draw, observation, meaning, sheet)


def _report(
    subject: Subject, results: list[tuple[str, Result]], source: str, control_id: str, received_at: datetime
) -> LabReport:
    """Bind one patient's results. The id is made of the content in a fixed order, so a repetition gets it again."""
    ref, birth, sex = subject
    content = sorted(text for text, _ in results)
    return LabReport(
        event_id=EventId(hashed(key("lab-report", ref, birth or "", sex or "", *content))),
        patient_ref=ref,
        source=source,
        received_at=received_at,
        control_id=without_controls(control_id)[:_MAXIMUM_CONTROL_ID] or None,
        birth_date_token=birth,
        sex_token=sex,
        results=tuple(result for _, result in results),
    )
