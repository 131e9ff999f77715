"""How the reading of a message can end: each message in exactly one outcome, each OBX in exactly one column of a tally.

Law: reasons and positions are codes; no value, name or identifier of a patient stands in them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from services.ingest.domain.profile import Profile
from services.ingest.domain.values import LabReport, PatientRef

_TYPE_LENGTH = len("ORU")


class AckCode(StrEnum):
    """MSA-1 in original mode (HL7 table 0008)."""

    ACCEPT = "AA"
    ERROR = "AE"
    REJECT = "AR"


@dataclass(frozen=True, slots=True)
class Header:
    """MSH as far as answers, dead letters and metrics need it; every text as sent, not unescaped.

    `codec` turns the texts back into the sender's bytes. `control_id` is MSH-10 (BHS-11 of a batch).
    """

    separators: str
    sending_application: str = ""
    sending_facility: str = ""
    receiving_application: str = ""
    receiving_facility: str = ""
    message_time: str = ""
    code: str = ""
    trigger: str = ""
    control_id: str = ""
    processing_id: str = ""
    version: str = ""
    accept_ack: str = ""
    application_ack: str = ""
    charset: str = ""
    codec: str = "utf-8"

    @property
    def message_type(self) -> str:
        """Type for metrics such as `ORU^R01`; what is not made like one is `other`, so that labels stay few."""
        if not (len(self.code) == _TYPE_LENGTH and self.code.isascii() and self.code.isalpha()):
            return "other"
        event = self.trigger[1:]
        usual = len(self.trigger) == _TYPE_LENGTH and self.trigger[0].isalpha() and event.isdigit() and event.isascii()
        return f"{self.code}^{self.trigger}" if usual else self.code


@dataclass(frozen=True, slots=True)
class Quarantined:
    """One OBX that is kept (raw) and not used. `position` is such as `OBX[3]`, counted from 1 in the message."""

    reason: str
    position: str
    patient_ref: PatientRef | None = None


@dataclass(frozen=True, slots=True)
class Tally:
    """What became of the OBX segments: the four columns add up to the number of OBX in the message."""

    published: int = 0
    quarantined: int = 0
    unmapped: int = 0
    ignored: int = 0

    @property
    def total(self) -> int:
        """Number of OBX segments."""
        return self.published + self.quarantined + self.unmapped + self.ignored


@dataclass(frozen=True, slots=True)
class Published:
    """Something to say: one report per patient. `notes` counts what was noticed, such as `unit_unknown`."""

    header: Header
    profile: Profile
    reports: tuple[LabReport, ...]
    tally: Tally
    quarantined: tuple[Quarantined, ...] = ()
    notes: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Ignored:
    """Read, and nothing in it for us: a type not used, or no result that can be used. Answered positively.

    Quarantined results of a message without any usable one stand here.
    """

    header: Header
    profile: Profile | None
    reason: str
    tally: Tally = field(default_factory=Tally)
    quarantined: tuple[Quarantined, ...] = ()
    notes: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    """Somebody's answer. Never answered: two systems that answer each other's answers never stop."""

    header: Header
    profile: Profile | None = None


@dataclass(frozen=True, slots=True)
class Refused:
    """Not usable as a whole: dead letter with `reason` and `position`. Without a header nothing can be answered."""

    header: Header | None
    profile: Profile | None
    reason: str
    position: str = ""
    code: AckCode = AckCode.ERROR


Outcome = Published | Ignored | Acknowledgement | Refused


@dataclass(frozen=True, slots=True)
class Batch:
    """A batch of messages, each with its own outcome; one answer for all, under the batch's control id."""

    header: Header
    profile: Profile | None
    parts: tuple[Outcome, ...]


FrameOutcome = Outcome | Batch


def messages_of(outcome: FrameOutcome) -> tuple[Outcome, ...]:
    """Return the outcome of each message of a frame; publish, dead-letter and count these."""
    return outcome.parts if isinstance(outcome, Batch) else (outcome,)
