"""HL7 v2 messages as a laboratory sends them: 20 results of one draw, corrections, deletions, preliminaries.

Law: synthetic patients only; every default is normal, so that a test shows only what matters. Nothing here is taken
from the services: a fault in their reader must not be mirrored by the writer of the tests.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone

SITE = timezone(timedelta(hours=8))
"""The laboratory's clock; China has one zone and no summer time."""

TAIL = "|||AL|NE||UNICODE UTF-8"
VT, FS, CR = b"\x0b", b"\x1c", b"\r"


@dataclass(frozen=True, slots=True)
class Test:
    """One analyte as the laboratory reports it: LOINC, unit, a normal value, limits (empty: not sent)."""

    __test__ = False

    analyte: str
    loinc: str
    name: str
    unit: str
    normal: str
    low: str
    high: str
    order: str


@dataclass(frozen=True, slots=True)
class Line:
    """One OBX. `value` may carry a comparator (`>40000`)."""

    test: Test
    value: str
    status: str = "F"
    unit: str | None = None
    limits: str | None = None
    note: str = ""

    def segments(self, number: int, analysed_at: datetime) -> list[str]:
        """Return the OBX, and the NTE below it where there is a note."""
        limits = _limits(self.test) if self.limits is None else self.limits
        unit = self.test.unit if self.unit is None else self.unit
        code = f"{self.test.loinc}^{self.test.name}^LN"
        stamp = hl7_time(analysed_at)
        kind = "NM" if self.value[:1].isdigit() else "ST"
        obx = f"OBX|{number}|{kind}|{code}||{self.value}|{unit}|{limits}||||{self.status}|||||||{stamp}"
        return [obx, f"NTE|1|L|{self.note}"] if self.note else [obx]


@dataclass(frozen=True, slots=True)
class Subject:
    """A synthetic patient as laboratory and registry know them. `birth_date` is YYYY-MM-DD."""

    mrn: str
    family: str = "Test"
    given: str = "Anna"
    birth_date: str = "1961-04-23"
    sex: str = "female"

    @property
    def pid(self) -> str:
        """The PID segment."""
        letter = {"female": "F", "male": "M"}.get(self.sex, "U")
        return f"PID|1||{self.mrn}^^^HOSP^MR||{self.family}^{self.given}||{self.birth_date.replace('-', '')}|{letter}"


def _limits(test: Test) -> str:
    if test.low and test.high:
        return f"{test.low}-{test.high}"
    return f"<{test.high}" if test.high else ""


PANEL: tuple[Test, ...] = (
    Test("ALT", "1742-6", "Alanine aminotransferase", "U/L", "24", "9", "40", "C"),
    Test("AST", "1920-8", "Aspartate aminotransferase", "U/L", "22", "13", "35", "C"),
    Test("ALP", "6768-6", "Alkaline phosphatase", "U/L", "78", "35", "130", "C"),
    Test("GGT", "2324-2", "Gamma glutamyl transferase", "U/L", "28", "10", "60", "C"),
    Test("BILIRUBIN_TOTAL", "14631-6", "Bilirubin.total", "umol/L", "11", "5", "21", "C"),
    Test("ALBUMIN", "1751-7", "Albumin", "g/L", "41", "35", "52", "C"),
    Test("CREATININE", "14682-9", "Creatinine", "umol/L", "66", "44", "104", "C"),
    Test("UREA", "22664-7", "Urea", "mmol/L", "5.1", "2.8", "8.1", "C"),
    Test("LDH", "2532-0", "Lactate dehydrogenase", "U/L", "178", "120", "250", "C"),
    Test("CK", "2157-6", "Creatine kinase", "U/L", "88", "40", "200", "C"),
    Test("SODIUM", "2951-2", "Sodium", "mmol/L", "140", "135", "145", "C"),
    Test("POTASSIUM", "2823-3", "Potassium", "mmol/L", "4.2", "3.5", "5.1", "C"),
    Test("GLUCOSE", "14749-6", "Glucose", "mmol/L", "5.4", "3.9", "6.1", "C"),
    Test("CRP", "1988-5", "C reactive protein", "mg/L", "3.1", "", "10", "C"),
    Test("FERRITIN", "2276-4", "Ferritin", "ug/L", "80", "15", "150", "C"),
    Test("HEMOGLOBIN", "718-7", "Hemoglobin", "g/L", "138", "130", "175", "H"),
    Test("LEUKOCYTES", "6690-2", "Leukocytes", "10*9/L", "6.4", "3.5", "9.5", "H"),
    Test("NEUTROPHILS", "751-8", "Neutrophils", "10*9/L", "3.9", "1.8", "6.3", "H"),
    Test("LYMPHOCYTES", "731-0", "Lymphocytes", "10*9/L", "1.8", "1.1", "3.2", "H"),
    Test("PLATELETS", "777-3", "Platelets", "10*9/L", "231", "125", "350", "H"),
)
BY_ANALYTE = {test.analyte: test for test in PANEL}


def a_line(analyte: str, value: str | None = None, **changes: str) -> Line:
    """Return one result, normal unless `value` says otherwise."""
    test = BY_ANALYTE[analyte]
    return replace(Line(test, test.normal if value is None else value), **changes)  # type: ignore[arg-type]


def a_panel(*, status: str = "F", **values: str) -> tuple[Line, ...]:
    """Return the 20 results of a draw; `values` by analyte are what differs from normal."""
    unknown = values.keys() - BY_ANALYTE.keys()
    if unknown:
        raise KeyError(*unknown)
    return tuple(a_line(test.analyte, values.get(test.analyte), status=status) for test in PANEL)


def hl7_time(instant: datetime) -> str:
    """Return `instant` as the laboratory writes it, to the second, with its zone."""
    return instant.astimezone(SITE).strftime("%Y%m%d%H%M%S%z")


def oru(
    subject: Subject,
    lines: Iterable[Line],
    *,
    collected_at: datetime,
    control_id: str,
    order: str,
    resulted_at: datetime | None = None,
    sender: str = "LIS^LAB",
) -> str:
    """Return an ORU^R01 with one OBR group per laboratory section. `order` is the filler number of the draw."""
    stamp = resulted_at or collected_at + timedelta(minutes=50)
    application, _, facility = sender.partition("^")
    segments = [
        f"MSH|^~\\&|{application}|{facility}|IRAE|TRIAL|{hl7_time(stamp)}||ORU^R01^ORU_R01|{control_id}|P|2.5.1{TAIL}",
        subject.pid,
        "PV1|1|O|ONC-3",
    ]
    by_section: dict[str, list[Line]] = {}
    for line in lines:
        by_section.setdefault(line.test.order, []).append(line)
    for number, (section, members) in enumerate(by_section.items(), start=1):
        name = {"C": "CHEM^Chemistry^L", "H": "CBC^Blood count^L"}[section]
        collected, resulted = hl7_time(collected_at), hl7_time(stamp)
        filler = f"{order}-{section}^LIS"
        segments.append(f"ORC|RE|P{order}|{filler}")
        segments.append(f"OBR|{number}|P{order}|{filler}|{name}|||{collected}|||||||||||||||{resulted}|||F")
        for position, line in enumerate(members, start=1):
            segments += line.segments(position, stamp)
    return "\r".join(segments) + "\r"


def frame(message: str) -> bytes:
    """Return the message between the bytes of MLLP."""
    return VT + message.encode() + FS + CR
