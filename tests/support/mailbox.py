"""A mail server for tests and the demo: keeps what it takes, refuses whom it is told to, goes down and comes back."""

import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from types import TracebackType
from typing import Self

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session

from tests.support.processes import free_port

REFUSED = "550 5.1.1 no such mailbox here"
DEFERRED = "451 4.3.0 try again later"
TAKEN = "250 2.0.0 taken"


@dataclass(frozen=True, slots=True)
class Mail:
    """One accepted message. `at` is `time.monotonic()` when it was taken."""

    sender: str
    recipients: tuple[str, ...]
    message: EmailMessage = field(repr=False)
    at: float

    @property
    def subject(self) -> str:
        """Subject as a reader sees it."""
        return str(self.message["Subject"] or "")

    @property
    def text(self) -> str:
        """The plain text, empty where there is none."""
        return self._part("plain")

    @property
    def html(self) -> str:
        """The HTML, empty where there is none."""
        return self._part("html")

    def _part(self, kind: str) -> str:
        part = self.message.get_body(preferencelist=(kind,))
        return str(part.get_content()).replace("\r\n", "\n") if part is not None else ""

    def __contains__(self, words: str) -> bool:
        return words in self.subject or words in self.text or words in self.html


class Mailbox:
    """An SMTP server on loopback; every method may be called from any thread."""

    def __init__(self, *, port: int = 0, watch: Callable[[Mail], None] | None = None) -> None:
        self.port = port or free_port()
        self._watch = watch
        self._mails: list[Mail] = []
        self._news = threading.Condition()
        self._controller: Controller | None = None
        self.refuses: set[str] = set()
        self.defers: set[str] = set()
        self.refused: list[str] = []

    def __enter__(self) -> Self:
        self.up()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.down()

    def up(self) -> None:
        """Listen; after `down`, on the same port again. Nothing is done when already up."""
        if self._controller is None:
            controller = Controller(_Handler(self), hostname="127.0.0.1", port=self.port)
            controller.start()
            self._controller = controller

    def down(self) -> None:
        """Stop listening: whoever connects is refused by the kernel. What was taken stays."""
        if self._controller is not None:
            self._controller.stop()
            self._controller = None

    @property
    def mails(self) -> tuple[Mail, ...]:
        """All mails so far, oldest first."""
        with self._news:
            return tuple(self._mails)

    def to(self, address: str) -> tuple[Mail, ...]:
        """All mails so far for one recipient."""
        return tuple(mail for mail in self.mails if address in mail.recipients)

    def add(self, mail: Mail) -> None:
        """Keep a mail and wake who waits for it."""
        with self._news:
            self._mails.append(mail)
            self._news.notify_all()
        if self._watch is not None:
            self._watch(mail)

    def wait_for(self, wanted: Callable[[Mail], bool], timeout: float, *, count: int = 1) -> tuple[Mail, ...]:
        """Return the mails that are wanted once there are `count`. Raises TimeoutError with the subjects that came."""
        found: list[Mail] = []

        def enough() -> bool:
            found[:] = [mail for mail in self._mails if wanted(mail)]
            return len(found) >= count

        with self._news:
            if not self._news.wait_for(enough, timeout):
                came = [(mail.recipients, mail.subject) for mail in self._mails]
                message = f"{len(found)} of {count} mails within {timeout} s; came: {came}; refused: {self.refused}"
                raise TimeoutError(message)
        return tuple(found)

    def quiet(self, unwanted: Callable[[Mail], bool], *, known: Iterable[Mail] = ()) -> list[Mail]:
        """Return mails that should not be there: unwanted and not among those known."""
        accepted = set(map(id, known))
        return [mail for mail in self.mails if unwanted(mail) and id(mail) not in accepted]


class _Handler:
    def __init__(self, mailbox: Mailbox) -> None:
        self._mailbox = mailbox

    async def handle_RCPT(  # noqa: N802 - the name is aiosmtpd's
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if address in self._mailbox.refuses:
            self._mailbox.refused.append(address)
            return REFUSED
        if address in self._mailbox.defers:
            return DEFERRED
        envelope.rcpt_tos.append(address)
        return TAKEN

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        content = envelope.content if isinstance(envelope.content, bytes) else str(envelope.content).encode()
        message = message_from_bytes(content, policy=policy.default)
        self._mailbox.add(Mail(envelope.mail_from or "", tuple(envelope.rcpt_tos), message, time.monotonic()))
        return TAKEN
