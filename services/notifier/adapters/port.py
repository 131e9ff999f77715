"""What every channel takes and answers: one `send(message) -> Outcome`, which never raises for trouble on the way."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

from services.notifier.domain.delivery import Kind


@dataclass(frozen=True, slots=True)
class Outgoing:
    """One message for one address, ready to leave. `thread` names what it belongs to, without identifying anybody."""

    item_id: str
    message_id: str
    urgency: str
    tier: str
    address: str
    subject: str
    text: str
    html: str = ""
    thread: str | None = None
    number: str = ""
    language: str = "en"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of an attempt. `detail` is a code or a few words, never text of the message or an address.

    `unsure`: the message was handed over but no answer came, so that it may have arrived.
    """

    kind: Kind
    detail: str
    after: timedelta = timedelta(0)
    unsure: bool = False


def sent(detail: str) -> Outcome:
    """Return that the carrier has it."""
    return Outcome(Kind.SENT, detail)


def retry(detail: str, after: timedelta = timedelta(0), *, unsure: bool = False) -> Outcome:
    """Return that it may work later, not before `after`."""
    return Outcome(Kind.RETRY, detail, after, unsure)


def refused(detail: str) -> Outcome:
    """Return that it will never work."""
    return Outcome(Kind.REFUSED, detail)


class Channel(Protocol):
    """A way out. Used by several threads at once."""

    def send(self, message: Outgoing) -> Outcome:
        """Try once, within the channel's own timeouts."""

    def close(self) -> None:
        """Let go of connections."""
