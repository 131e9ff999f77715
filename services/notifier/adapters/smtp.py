"""Mail and e-mail-to-pager through an SMTP server, one envelope per recipient, so that no mailbox blocks another.

TLS is required unless the channel says plain. Answers of 4xx are tried again, those of 5xx are not; a connection that
breaks after the message was handed over is unsure. Connections are kept for the next message for a few seconds.
"""

import smtplib
import socket
import ssl
import threading
import time
from collections.abc import Callable
from datetime import datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime

from services.common.identifiers import stable_id
from services.notifier.adapters.port import Outcome, Outgoing, refused, retry, sent
from services.notifier.rulebook.people import SmtpChannel

KEEP_SECONDS = 5.0
OK, GO_AHEAD_CLASS, TEMPORARY_CLASS = 250, 3, 4
TEMPORARY_ALTHOUGH_5XX = frozenset({530, 534, 535, 538, 552})
"""Log-in troubles a person will mend, and a full mailbox: none of them is about this message."""

OUR_NAME = socket.gethostname()
"""Asked once: the default looks the name up on the network for every connection."""

POLICY = SMTP.clone(cte_type="7bit")


class Smtp:
    """One mail server. `now` dates the messages."""

    def __init__(self, channel: SmtpChannel, now: Callable[[], datetime]) -> None:
        self._channel, self._now = channel, now
        self._idle: list[tuple[float, smtplib.SMTP]] = []
        self._lock = threading.Lock()

    def send(self, message: Outgoing) -> Outcome:
        """Hand over one message."""
        try:
            body = compose(message, self._channel.sender, self._now()).as_bytes()
        except ValueError as problem:  # an address or a subject that would inject headers
            return refused(f"cannot be written: {type(problem).__name__}")
        server = self._reuse()
        if server is not None:
            outcome = self._converse(server, message, body)
            if outcome is not None:
                return outcome
        try:
            server = self._connect()
        except (smtplib.SMTPException, OSError) as problem:
            return retry(_trouble(problem))
        return self._converse(server, message, body) or retry("connection closed")

    def check(self) -> str | None:
        """Connect, log in and leave; returns a sentence if that fails."""
        try:
            server = self._connect()
        except (smtplib.SMTPException, OSError) as problem:
            return f"{self._channel.host}:{self._channel.port}: {_trouble(problem)}"
        _leave(server)
        return None

    def close(self) -> None:
        """Let go of connections."""
        with self._lock:
            idle, self._idle = self._idle, []
        for _, server in idle:
            _leave(server)

    def _reuse(self) -> smtplib.SMTP | None:
        with self._lock:
            while self._idle:
                since, server = self._idle.pop()
                if time.monotonic() - since < KEEP_SECONDS:
                    return server
                server.close()
        return None

    def _connect(self) -> smtplib.SMTP:
        """Return a connection on which mail may be sent. Raises SMTPException or OSError."""
        channel = self._channel
        seconds = channel.timeout.total_seconds()
        if channel.security == "tls":
            server: smtplib.SMTP = smtplib.SMTP_SSL(
                channel.host, channel.port, timeout=seconds, context=self._context(), local_hostname=OUR_NAME
            )
        else:
            server = smtplib.SMTP(channel.host, channel.port, timeout=seconds, local_hostname=OUR_NAME)
        try:
            if channel.security == "starttls":
                server.starttls(context=self._context())
            if channel.username and channel.password_file:
                server.login(channel.username, channel.password_file.read_text("utf-8").strip())
            server.ehlo_or_helo_if_needed()
        except BaseException:
            server.close()
            raise
        return server

    def _context(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=str(self._channel.ca_file) if self._channel.ca_file else None)

    def _converse(self, server: smtplib.SMTP, message: Outgoing, body: bytes) -> Outcome | None:
        """Send on an open connection; None if it turned out to be closed before anything was handed over."""
        handed_over = False
        try:
            code, _ = server.mail(self._channel.sender)
            if code != OK:
                return self._refusal(server, "MAIL", code)
            code, _ = server.rcpt(message.address)
            if code not in (OK, 251):
                return self._refusal(server, "RCPT", code)
            code, _ = server.docmd("DATA")
            if code // 100 != GO_AHEAD_CLASS:
                return self._refusal(server, "DATA", code)
            handed_over = True
            code, _ = _hand_over(server, body)
        except (smtplib.SMTPServerDisconnected, OSError) as problem:
            server.close()
            if handed_over:
                return retry(f"no answer after DATA: {type(problem).__name__}", unsure=True)
            return None if isinstance(problem, smtplib.SMTPServerDisconnected) else retry(_trouble(problem))
        if code != OK:
            return self._refusal(server, "DATA", code)
        with self._lock:
            self._idle.append((time.monotonic(), server))
        return sent(str(code))

    def _refusal(self, server: smtplib.SMTP, command: str, code: int) -> Outcome:
        _leave(server)
        temporary = code // 100 == TEMPORARY_CLASS or code in TEMPORARY_ALTHOUGH_5XX or code < 0
        return retry(f"{command} {code}") if temporary else refused(f"{command} {code}")


def _hand_over(server: smtplib.SMTP, body: bytes) -> tuple[int, bytes]:
    """Send the message with its end mark and wait for the verdict."""
    lines = body.replace(b"\r\n", b"\n").split(b"\n")
    stuffed = b"\r\n".join(b"." + line if line.startswith(b".") else line for line in lines)
    server.send(stuffed.rstrip(b"\r\n") + b"\r\n.\r\n")
    return server.getreply()


def _leave(server: smtplib.SMTP) -> None:
    try:
        server.quit()
    except (smtplib.SMTPException, OSError):
        server.close()


def _trouble(problem: Exception) -> str:
    """Name the trouble by kind and code; a server's text may quote addresses."""
    if isinstance(problem, smtplib.SMTPResponseException):
        return f"{type(problem).__name__} {problem.smtp_code}"
    return type(problem).__name__


def compose(message: Outgoing, sender: str, now: datetime) -> EmailMessage:
    """Return the mail: text, HTML beside it, headers that thread it and say that a machine wrote it."""
    mail = EmailMessage(policy=POLICY)
    mail["From"] = Address(addr_spec=sender)
    mail["To"] = Address(addr_spec=message.address)
    mail["Subject"] = message.subject
    mail["Date"] = format_datetime(now)
    mail["Message-ID"] = message.message_id
    if message.thread is not None:
        root = f"<{stable_id('thread', message.thread)}@lab-alerts>"
        mail["In-Reply-To"] = root
        mail["References"] = root
    mail["Auto-Submitted"] = "auto-generated"
    mail["Content-Language"] = message.language
    if message.urgency == "P1":
        mail["Importance"] = "high"
        mail["X-Priority"] = "1"
    mail.set_content(message.text)
    if message.html:
        mail.add_alternative(message.html, subtype="html")
    return mail
