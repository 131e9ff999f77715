"""A small simulated ward: enrols its patients, then the laboratory sends what happened to them, in HL7 over MLLP.

Law: clinical time runs fast only because collection times lie in the past weeks; every clock of the system is the real
one. The people are invented ("演示" means demonstration); so are all values.
"""

import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from services.common.clock import utc_now
from tests.support.hospital import Draw, Hospital, Patient
from tests.support.messages import Subject, a_line, a_panel
from tests.support.mllp_client import NoAnswer

CALM_PATIENTS = 6
STEP_SECONDS = 2.0
BACKLOG_SECONDS = 0.3
BACKGROUND_SECONDS = 6.0
AN_HOUR_AGO = timedelta(hours=1)

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Step:
    """One draw that the laboratory reports: what differs from normal, how long ago it was taken.

    `corrects` names an earlier step of the story whose ferritin this one corrects (status C).
    """

    words: str
    ago: timedelta
    values: Mapping[str, str] = field(default_factory=dict)
    corrects: int | None = None

    @property
    def is_news(self) -> bool:
        """Whether it was drawn today; older draws arrive together, as a backlog does."""
        return self.ago < _days(1)


@dataclass(frozen=True, slots=True)
class Story:
    """One patient: since when treated, drawn how before the first dose, and what happens."""

    subject: Subject
    first_dose: timedelta
    baseline: Mapping[str, str]
    steps: tuple[Step, ...]


def _days(days: float) -> timedelta:
    return timedelta(days=days)


def stories() -> tuple[Story, ...]:
    """Return what happens on the ward, in the order in which it is told. Criteria: RULES.md 3.2, 3.4, 5 and 6."""
    return (
        Story(
            Subject("D1001", "演示", "甲", "1958-03-14", "male"), _days(28), {"FERRITIN": "80"},
            (
                Step("ferritin 112 five days ago, still unremarkable", _days(5), {"FERRITIN": "112"}),
                Step("ferritin 412 an hour ago: five times the baseline, and fast", AN_HOUR_AGO, {"FERRITIN": "412"}),
            ),
        ),
        Story(
            Subject("D1002", "演示", "乙", "1966-11-02", "female"), _days(33), {"ALT": "24"},
            (Step("ALT 236 U/L an hour ago: grade 3, it was 0", AN_HOUR_AGO, {"ALT": "236", "AST": "31"}),),
        ),
        Story(
            Subject("D1003", "演示", "丙", "1971-07-30", "female"), _days(40), {"FERRITIN": "62"},
            (Step("ferritin 231 seven days ago; the retest never came", _days(7), {"FERRITIN": "231"}),),
        ),
        Story(
            Subject("D1004", "演示", "丁", "1949-01-09", "male"), _days(45), {"FERRITIN": "95"},
            (
                Step("ferritin 130 three weeks ago", _days(21), {"FERRITIN": "130"}),
                Step("ferritin 455 sixteen days ago", _days(16), {"FERRITIN": "455"}),
                Step("first retest twelve days ago: 240", _days(12), {"FERRITIN": "240"}),
                Step("second retest six days ago: 140", _days(6), {"FERRITIN": "140"}),
                Step("third retest an hour ago: 104, recovered", AN_HOUR_AGO, {"FERRITIN": "104"}),
            ),
        ),
        Story(
            Subject("D1005", "演示", "戊", "1980-09-21", "female"), _days(30), {"FERRITIN": "58"},
            (
                Step("ferritin 61 four days ago", _days(4), {"FERRITIN": "61"}),
                Step("ferritin 584 an hour ago", AN_HOUR_AGO, {"FERRITIN": "584"}),
                Step("the laboratory corrects 584 to 58.4", AN_HOUR_AGO, {"FERRITIN": "58.4"}, corrects=1),
            ),
        ),
    )  # fmt: skip


class Ward:
    """Plays the stories once, then keeps the laboratory's ordinary day going until it is told to stop."""

    def __init__(self, hospital: Hospital, say: Say) -> None:
        self._hospital = hospital
        self._say = say
        self._ended = threading.Event()
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="ward", daemon=True)

    def start(self) -> None:
        """Begin, in a thread of its own."""
        self._thread.start()

    def stop(self) -> None:
        """Stop after the message in hand."""
        self._ended.set()
        self._thread.join(10)

    @property
    def failure(self) -> BaseException | None:
        """What ended the ward before its time."""
        return self._failure

    def _run(self) -> None:
        try:
            told = [(story, self._admit(story)) for story in stories()]
            calm = [self._admit(_calm(n)) for n in range(CALM_PATIENTS)]
            self._say(f"{len(told) + len(calm)} patients enrolled by API; each baseline of 20 results sent over MLLP")
            for story, patient in told:
                self._play(story, patient)
            if self._ended.is_set():
                return
            self._say("the ordinary day goes on: a normal draw every few seconds")
            self._background(calm)
        except NoAnswer as problem:
            if not self._ended.is_set():
                self._failure = problem
        except BaseException as problem:  # noqa: BLE001 - the terminal says it and the demo ends
            self._failure = problem

    def _admit(self, story: Story) -> Patient:
        patient = Patient(self._hospital, story.subject, _noon(utc_now() - story.first_dose))
        patient.enrol()
        patient.with_baseline(**story.baseline)
        return patient

    def _play(self, story: Story, patient: Patient) -> None:
        draws: list[Draw] = []
        for step in story.steps:
            if self._ended.wait(STEP_SECONDS if step.is_news or not draws else BACKLOG_SECONDS):
                return
            draws.append(self._send(patient, step, draws))
            self._say(f"{story.subject.family}{story.subject.given}: {step.words}")

    def _send(self, patient: Patient, step: Step, draws: list[Draw]) -> Draw:
        if step.corrects is None:
            return patient.report(a_panel(**step.values), at=utc_now() - step.ago)[1]
        wrong = draws[step.corrects]
        lines = tuple(a_line(analyte, value, status="C") for analyte, value in step.values.items())
        return patient.report(lines, at=wrong.collected_at, order=wrong.order, resulted_at=utc_now())[1]

    def _background(self, calm: list[Patient]) -> None:
        for patient, value in _for_ever(calm):
            if self._ended.wait(BACKGROUND_SECONDS):
                return
            patient.report(a_panel(FERRITIN=value), at=utc_now() - timedelta(minutes=5))


def _calm(number: int) -> Story:
    subject = Subject(f"D20{number:02d}", "演示", f"{number + 1}号", "1963-05-05", "female")
    return Story(subject, _days(20 + number), {"FERRITIN": str(60 + number)}, ())


def _for_ever(patients: list[Patient]) -> Iterator[tuple[Patient, str]]:
    """Ferritin between 60 and 80 for each in turn: an echo of the baseline, never news."""
    count = 0
    while True:
        for patient in patients:
            yield patient, str(60 + count % 20)
            count += 1


def _noon(instant: datetime) -> datetime:
    return instant.replace(hour=2, minute=0, second=0, microsecond=0)
