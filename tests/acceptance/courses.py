"""Fifty simulated patients with ten messages each, and what must stand at their end by a simple reading of RULES.md.

Law: the expectation is written beside each course by hand. It shares no code with the detector.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from services.common.clock import utc_now
from tests.support.hospital import Draw, Hospital, Patient
from tests.support.messages import a_line, a_panel

DRAWS = 9
EVERY = timedelta(hours=6)
NEWEST_AGO = timedelta(hours=1)
FIRST_DOSE_AGO = timedelta(days=12)

ROSE = frozenset({("raised", "escalated"), ("raised",)})
TAKEN_BACK = frozenset({("raised", "withdrawn"), ()})


@dataclass(frozen=True, slots=True)
class Course:
    """What differs from normal at each draw after the baseline, and the level per rule that stands at the end.

    `said`: the words by which a rule may come to stand so. Draws that waited together may be judged together.
    `corrected` names a draw whose ferritin is corrected to normal after the last draw but one.
    """

    name: str
    changes: Mapping[int, Mapping[str, str]] = field(default_factory=dict)
    stands: Mapping[str, int] = field(default_factory=dict)
    said: Mapping[str, frozenset[tuple[str, ...]]] = field(default_factory=dict)
    corrected: int | None = None


COURSES: tuple[Course, ...] = (
    Course("calm"),
    Course(
        # 3.25 x baseline is level 2; 600 is at least 500 and twice the baseline: level 3. Steps stay below 1.5 x.
        "ferritin",
        changes={n: {"FERRITIN": v} for n, v in enumerate(("260", "300", "420", "600", "610", "620"), start=4)},
        stands={"ferritin.rise": 3},
        said={"ferritin.rise": ROSE},
    ),
    Course(
        # ULN 40: 150 is grade 2 (more than 3 x), 260 grade 3 (more than 5 x); 170 repeats grade 2.
        "liver",
        changes={n: {"ALT": v} for n, v in enumerate(("150", "170", "260", "255", "250"), start=5)},
        stands={"ctcae.alt-increased": 3},
        said={"ctcae.alt-increased": ROSE},
    ),
    Course(
        # Platelets below 75 are grade 2, below 50 grade 3; no cytotoxic cycle, so no nadir holds them back.
        "platelets",
        changes={n: {"PLATELETS": v} for n, v in enumerate(("60", "62", "40"), start=7)},
        stands={"ctcae.platelets-decreased": 3},
        said={"ctcae.platelets-decreased": ROSE},
    ),
    Course(
        "corrected",
        changes={6: {"FERRITIN": "260"}},
        stands={},
        said={"ferritin.rise": TAKEN_BACK},
        corrected=6,
    ),
)


@dataclass(frozen=True, slots=True)
class Expected:
    """One admitted patient, the course and the messages, in order."""

    patient: Patient
    course: Course
    messages: tuple[str, ...]


def admit(hospital: Hospital, course: Course) -> Expected:
    """Enrol a patient and write the ten messages of the course."""
    patient = hospital.patient(first_dose=FIRST_DOSE_AGO)
    return Expected(patient, course, tuple(_messages(patient, course)))


def _messages(patient: Patient, course: Course) -> Iterator[str]:
    number = patient.hospital.number
    before = Draw(number(), patient.first_dose_at - timedelta(days=1), number())
    yield patient.message(a_panel(), before)
    newest = utc_now() - NEWEST_AGO
    draws = [Draw(number(), newest - EVERY * (DRAWS - n), number()) for n in range(1, DRAWS + 1)]
    for n, draw in enumerate(draws, start=1):
        if n == DRAWS and course.corrected is not None:
            wrong = draws[course.corrected - 1]
            correction = Draw(wrong.order, wrong.collected_at, number())
            yield patient.message((a_line("FERRITIN", "82", status="C"),), correction, resulted_at=newest)
        else:
            yield patient.message(a_panel(**course.changes.get(n, {})), draw)
