"""The words in which acceptance tests speak: a hospital admits a patient, draws blood, corrects, and sees who was told.

Law: a test shows only what matters; every wait has a limit and says what came instead. Patients are told apart by
their refs, which are read from `patients.v1` as an auditor would: tests do not compute them.
"""

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from services.common.clock import utc_now
from tests.support.mailbox import Mail, Mailbox
from tests.support.messages import Line, Subject, a_line, a_panel, oru
from tests.support.mllp_client import Answer
from tests.support.registry import event_id
from tests.support.system import System
from tests.support.topics import TopicReader

PATIENCE_SECONDS = 30.0
"""How long anything that must come may take on a busy machine; nothing is judged by how fast it came."""

SENTINELS = (
    ("POTASSIUM", "7.4", "ctcae.hyperkalemia"),
    ("SODIUM", "112", "ctcae.hyponatremia"),
)
"""Draws that must be told at once, of analytes that the tests otherwise leave alone."""

SAYS_IT_STANDS = ("raised", "escalated", "revised")
Message = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Draw:
    """One blood draw as the laboratory filed it."""

    order: str
    collected_at: datetime
    control_id: str


class Hospital:
    """A running system with its laboratory, trial office and mail server."""

    def __init__(self, system: System, mailbox: Mailbox, *, token: str, name: str = "T") -> None:
        self.system = system
        self.mailbox = mailbox
        self.token = token
        self._name = name
        self._numbers = itertools.count(1)
        self._readers: dict[str, TopicReader] = {}

    def close(self) -> None:
        """Let go of the topics."""
        for reader in self._readers.values():
            reader.close()

    def topic(self, name: str) -> TopicReader:
        """Follow a topic; the same reader is returned every time."""
        if name not in self._readers:
            self._readers[name] = self.system.topic(name)
        return self._readers[name]

    def number(self) -> str:
        """Return a number that no other draw, message or patient of this hospital has."""
        return f"{self._name}{next(self._numbers):05d}"

    def patient(
        self, *, first_dose: timedelta = timedelta(days=30), enrol: bool = True, **changes: object
    ) -> "Patient":
        """Return a new patient, enrolled with the first dose that long ago."""
        patient = Patient(self, Subject(f"M{self.number()}"), utc_now() - first_dose)
        if enrol:
            patient.enrol(**changes)
        return patient


class Patient:
    """One synthetic patient: what is sent about them, and what is said about them."""

    def __init__(self, hospital: Hospital, subject: Subject, first_dose_at: datetime) -> None:
        self.hospital = hospital
        self.subject = subject
        self.first_dose_at = first_dose_at
        self._ref: str | None = None
        self._sentinels = 0

    def enrol(self, **changes: object) -> str:
        """Enrol, or enrol again with changes, through the registry API; return the event's id."""
        with self.hospital.system.registry(self.hospital.token) as registry:
            consented_at = self.first_dose_at - timedelta(days=20)
            answer = registry.enrol(
                self.subject, first_dose_at=self.first_dose_at, consented_at=consented_at, **changes
            )
        return event_id(answer)

    @property
    def ref(self) -> str:
        """The patient's ref, once the registry's call has reached `patients.v1`."""
        if self._ref is None:
            patients = self.hospital.topic("patients.v1")
            found = patients.wait_for(lambda message: message.get("mrn") == self.subject.mrn, PATIENCE_SECONDS)
            self._ref = str(found[-1]["patient_ref"])
        return self._ref

    def with_baseline(self, **values: str) -> "Patient":
        """Draw a normal baseline a day before the first dose."""
        answer, _ = self.report(a_panel(**values), at=self.first_dose_at - timedelta(days=1))
        assert answer.code == "AA", answer
        return self

    def draw(
        self, *, at: datetime | None = None, ago: timedelta = timedelta(hours=2), **values: str
    ) -> tuple[Answer, Draw]:
        """Send the 20 results of one draw, normal but for `values`."""
        return self.report(a_panel(**values), at=at or utc_now() - ago)

    def report(
        self, lines: tuple[Line, ...], *, at: datetime, order: str | None = None, resulted_at: datetime | None = None
    ) -> tuple[Answer, Draw]:
        """Send these results in one message; `order` names the draw they belong to."""
        draw = Draw(order or self.hospital.number(), at.astimezone(UTC).replace(microsecond=0), self.hospital.number())
        return self.hospital.system.deliver(self.message(lines, draw, resulted_at=resulted_at)), draw

    def message(self, lines: tuple[Line, ...], draw: Draw, *, resulted_at: datetime | None = None) -> str:
        """Return the message that `report` sends."""
        return oru(
            self.subject,
            lines,
            collected_at=draw.collected_at,
            control_id=draw.control_id,
            order=draw.order,
            resulted_at=resulted_at or min(draw.collected_at + timedelta(minutes=50), utc_now()),
        )

    def alerts(self) -> list[Message]:
        """Everything said about this patient so far."""
        return self._of("alerts.v1")

    def alert(self, rule: str, action: str, *, level: int | None = None, within: float = PATIENCE_SECONDS) -> Message:
        """Return the newest such alert once it is on the topic."""
        return self._wait("alerts.v1", _is(rule_id=rule, action=action, level=level), within)

    def plan(self, status: str, *, within: float = PATIENCE_SECONDS, **wanted: object) -> Message:
        """Return the newest retest plan with this status once it is on the topic."""
        return self._wait("retests.v1", _is(status=status, **wanted), within)

    def deliveries(
        self, state: str, *, within: float = PATIENCE_SECONDS, count: int = 1, **wanted: object
    ) -> list[Message]:
        """Return who was told (or not) about this patient."""
        matches = _is(state=state, **wanted)
        reader = self.hospital.topic("deliveries.v1")
        return reader.wait_for(lambda m: m.get("patient_ref") == self.ref and matches(m), within, count=count)

    def mail(
        self, *words: str, to: str | None = None, within: float = PATIENCE_SECONDS, count: int = 1
    ) -> tuple[Mail, ...]:
        """Return the mails that name this patient and hold all the words."""
        return self.hospital.mailbox.wait_for(
            lambda mail: self.is_named_in(mail) and all(word in mail for word in words) and _for(mail, to),
            within,
            count=count,
        )

    def mails(self) -> list[Mail]:
        """All mails so far that name this patient."""
        return [mail for mail in self.hospital.mailbox.mails if self.is_named_in(mail)]

    def is_named_in(self, mail: Mail) -> bool:
        """Whether the mail speaks of this patient."""
        return self.ref in mail

    def settle(self) -> list[Message]:
        """Return all that was said, once a last draw of this patient has been decided.

        Events of one patient are decided in order: what an earlier one could say stands before the sentinel's alert.
        The sentinels' own alerts are left out.
        """
        analyte, value, rule = SENTINELS[self._sentinels]
        self._sentinels += 1
        self.report((a_line(analyte, value),), at=utc_now() - timedelta(minutes=1))
        self.alert(rule, "raised")
        sentinels = {rule for _, _, rule in SENTINELS}
        return [alert for alert in self.alerts() if alert["rule_id"] not in sentinels]

    def _of(self, topic: str) -> list[Message]:
        reader = self.hospital.topic(topic)
        return [r.value for r in reader.to_end() if r.value.get("patient_ref") == self.ref]

    def _wait(self, topic: str, matches: Callable[[Message], bool], within: float) -> Message:
        reader = self.hospital.topic(topic)
        found = reader.wait_for(lambda m: m.get("patient_ref") == self.ref and matches(m), within)
        return max(found, key=lambda message: int(message["seq"]))


def spoken_number(alert: Message) -> str:
    """Return the number by which pages and people name an alert: the first eight characters of its id."""
    text = str(alert["alert_id"])[:8].upper()
    return f"{text[:4]}-{text[4:]}"


def standing(alerts: list[Message]) -> dict[str, int]:
    """Return what stands, level by rule: the newest word (`seq`) on each alert, if it is not one of ending."""
    newest: dict[str, Message] = {}
    for alert in alerts:
        known = newest.get(alert["alert_id"])
        if known is None or alert["seq"] > known["seq"]:
            newest[alert["alert_id"]] = alert
    return {a["rule_id"]: a["level"] for a in newest.values() if a["action"] in SAYS_IT_STANDS}


def _is(**wanted: object) -> Callable[[Message], bool]:
    return lambda message: all(message.get(name) == value for name, value in wanted.items() if value is not None)


def _for(mail: Mail, address: str | None) -> bool:
    return address is None or address in mail.recipients
