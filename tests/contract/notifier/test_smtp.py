import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, LoginPassword

from services.notifier.adapters.port import Outcome, Outgoing
from services.notifier.adapters.smtp import Smtp, compose
from services.notifier.domain.delivery import Kind
from services.notifier.rulebook.people import SmtpChannel
from tests.support.mailbox import Mailbox
from tests.support.processes import free_port

NOW = datetime(2026, 3, 4, 2, 0, tzinfo=UTC)


def outgoing(address: str = "li@hospital.example", **changed: Any) -> Outgoing:
    values: dict[str, Any] = {
        "item_id": "1f2e",
        "message_id": "<1f2e@lab-alerts>",
        "urgency": "P1",
        "tier": "mail",
        "address": address,
        "subject": "[P1] 检验警报 0F1E-2D3C",
        "text": "铁蛋白升高\n.a line that begins with a dot\n",
        "html": "<p>铁蛋白升高</p>",
        "thread": "ep-1",
        "number": "0F1E-2D3C",
        "language": "zh",
    }
    return Outgoing(**values | changed)


def channel(port: int, **changed: Any) -> SmtpChannel:
    values: dict[str, Any] = {
        "kind": "smtp",
        "tier": "mail",
        "host": "127.0.0.1",
        "port": port,
        "security": "plain",
        "sender": "lab-alerts@hospital.example",
        "timeout": "2s",
    }
    return SmtpChannel.model_validate(values | changed)


@pytest.fixture
def mailbox() -> Iterator[Mailbox]:
    with Mailbox() as box:
        yield box


@pytest.fixture
def smtp(mailbox: Mailbox) -> Iterator[Smtp]:
    way = Smtp(channel(mailbox.port), lambda: NOW)
    yield way
    way.close()


def test_a_mail_arrives_as_written(smtp: Smtp, mailbox: Mailbox) -> None:
    assert smtp.send(outgoing()).kind is Kind.SENT
    (mail,) = mailbox.mails
    assert mail.subject == "[P1] 检验警报 0F1E-2D3C"
    assert mail.text.rstrip("\n") == "铁蛋白升高\n.a line that begins with a dot"
    assert "铁蛋白升高" in mail.html
    assert mail.message["Message-ID"] == "<1f2e@lab-alerts>"
    assert mail.message["Auto-Submitted"] == "auto-generated"
    assert mail.message["Importance"] == "high"


def test_mails_of_one_episode_share_a_thread_that_names_nobody() -> None:
    first, second = (compose(outgoing(thread=thread), "a@b.example", NOW) for thread in ("ep-1", "ep-1"))
    other = compose(outgoing(thread="ep-2"), "a@b.example", NOW)
    assert first["References"] == second["References"] == first["In-Reply-To"]
    assert first["References"] != other["References"]
    assert "ep-1" not in first["References"]


def test_a_page_is_one_plain_part(smtp: Smtp, mailbox: Mailbox) -> None:
    smtp.send(outgoing(tier="page", subject="P1 0F1E", text="P1 0F1E", html="", thread=None))
    (mail,) = mailbox.mails
    assert (mail.message.is_multipart(), mail.html) == (False, "")


def test_one_refused_mailbox_of_three_leaves_the_others_served(smtp: Smtp, mailbox: Mailbox) -> None:
    mailbox.refuses.add("wang@hospital.example")
    outcomes = [smtp.send(outgoing(f"{name}@hospital.example")).kind for name in ("li", "wang", "meyer")]
    assert outcomes == [Kind.SENT, Kind.REFUSED, Kind.SENT]
    assert len(mailbox.mails) == 2


def test_a_greylisted_recipient_is_tried_again(smtp: Smtp, mailbox: Mailbox) -> None:
    mailbox.defers.add("li@hospital.example")
    assert smtp.send(outgoing()) == Outcome(Kind.RETRY, "RCPT 451")
    mailbox.defers.clear()
    assert smtp.send(outgoing()).kind is Kind.SENT


def test_a_server_that_is_away_is_tried_again_and_found_when_it_is_back(smtp: Smtp, mailbox: Mailbox) -> None:
    assert smtp.send(outgoing()).kind is Kind.SENT
    mailbox.down()
    assert smtp.send(outgoing()).kind is Kind.RETRY
    mailbox.up()
    assert smtp.send(outgoing()).kind is Kind.SENT


def test_an_address_that_injects_a_header_is_refused(smtp: Smtp, mailbox: Mailbox) -> None:
    assert smtp.send(outgoing("li@hospital.example\nBcc: all@hospital.example")).kind is Kind.REFUSED
    assert mailbox.mails == ()


class Scripted:
    """A server on a socket that answers what it is told to, then does what it is told to."""

    def __init__(self, answers: list[bytes | None]) -> None:
        self._answers = answers
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        peer, _ = self._listener.accept()
        with peer, peer.makefile("rb") as lines:
            for answer in self._answers:
                if answer is None:
                    return
                peer.sendall(answer + b"\r\n")
                line = lines.readline()
                while answer.startswith(b"354") and line.rstrip() != b".":
                    line = lines.readline()

    def close(self) -> None:
        self._listener.close()
        self._thread.join(2)


HELLO = [b"220 here", b"250 hello", b"250 sender"]


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        pytest.param([b"554 not today"], Outcome(Kind.RETRY, "SMTPConnectError 554"), id="a server that is closed"),
        pytest.param([b"220 here", b"250 hello", b"451 later"], Outcome(Kind.RETRY, "MAIL 451"), id="busy"),
        pytest.param([b"220 here", b"250 hello", b"550 no"], Outcome(Kind.REFUSED, "MAIL 550"), id="sender refused"),
        pytest.param(
            [b"220 here", b"250 hello", b"530 log in"], Outcome(Kind.RETRY, "MAIL 530"), id="a log-in is missing"
        ),
        pytest.param([*HELLO, b"552 mailbox full"], Outcome(Kind.RETRY, "RCPT 552"), id="mailbox full"),
        pytest.param([*HELLO, b"250 ok", b"554 no"], Outcome(Kind.REFUSED, "DATA 554"), id="DATA refused"),
        pytest.param(
            [*HELLO, b"250 ok", b"354 go", b"452 no room"], Outcome(Kind.RETRY, "DATA 452"), id="no room after DATA"
        ),
        pytest.param(
            [*HELLO, b"250 ok", b"354 go", b"550 spam"], Outcome(Kind.REFUSED, "DATA 550"), id="refused after DATA"
        ),
        pytest.param(
            [*HELLO, b"250 ok", b"354 go", None],
            Outcome(Kind.RETRY, "no answer after DATA: SMTPServerDisconnected", unsure=True),
            id="dropped after DATA",
        ),
        pytest.param([*HELLO, None], Outcome(Kind.RETRY, "connection closed"), id="dropped before DATA"),
    ],
)
def test_codes_decide(answers: list[bytes | None], expected: Outcome) -> None:
    server = Scripted(answers)
    assert Smtp(channel(server.port), lambda: NOW).send(outgoing()) == expected
    server.close()


def test_a_server_that_says_nothing_is_left_after_the_timeout() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        way = Smtp(channel(silent.getsockname()[1], timeout="200ms"), lambda: NOW)
        assert way.send(outgoing()) == Outcome(Kind.RETRY, "SMTPServerDisconnected")


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tls")
    subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
    keys = ["-keyout", str(folder / "key.pem"), "-out", str(folder / "cert.pem")]
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", *subject, *keys],
        check=True,
        capture_output=True,
    )
    return folder


class Keeps:
    def __init__(self) -> None:
        self.got: list[bytes] = []

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802
        self.got.append(envelope.content)
        return "250 ok"


@pytest.fixture
def tls_server(certificate: Path) -> Iterator[tuple[int, Keeps]]:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate / "cert.pem", certificate / "key.pem")
    keeps = Keeps()

    def log_in(server: Any, session: Any, envelope: Any, mechanism: str, data: Any) -> AuthResult:
        right = isinstance(data, LoginPassword) and data == LoginPassword(b"irae", b"a secret")
        return AuthResult(success=right)

    controller = Controller(
        keeps,
        hostname="127.0.0.1",
        port=free_port(),
        tls_context=context,
        require_starttls=True,
        authenticator=log_in,
        auth_required=True,
    )
    controller.start()
    yield controller.port, keeps
    controller.stop()


def test_a_mail_travels_by_tls_after_log_in(tls_server: tuple[int, Keeps], certificate: Path, tmp_path: Path) -> None:
    port, keeps = tls_server
    (tmp_path / "password").write_text("a secret\n")
    secure = {"security": "starttls", "ca_file": certificate / "cert.pem", "username": "irae"}
    way = Smtp(channel(port, password_file=tmp_path / "password", **secure), lambda: NOW)
    assert way.check() is None
    assert way.send(outgoing()).kind is Kind.SENT
    assert len(keeps.got) == 1
    way.close()


def test_a_wrong_password_is_tried_again_and_said(
    tls_server: tuple[int, Keeps], certificate: Path, tmp_path: Path
) -> None:
    (tmp_path / "password").write_text("wrong\n")
    secure = {"security": "starttls", "ca_file": certificate / "cert.pem", "username": "irae"}
    way = Smtp(channel(tls_server[0], password_file=tmp_path / "password", **secure), lambda: NOW)
    assert way.send(outgoing()).kind is Kind.RETRY
    assert way.check() is not None


def test_an_unknown_certificate_gets_no_mail(tls_server: tuple[int, Keeps]) -> None:
    way = Smtp(channel(tls_server[0], security="starttls"), lambda: NOW)
    assert way.send(outgoing()) == Outcome(Kind.RETRY, "SSLCertVerificationError")
    assert tls_server[1].got == []


def test_where_tls_is_asked_for_a_server_without_it_gets_no_mail(mailbox: Mailbox) -> None:
    way = Smtp(channel(mailbox.port, security="starttls"), lambda: NOW)
    assert way.send(outgoing()) == Outcome(Kind.RETRY, "SMTPNotSupportedError")
    assert mailbox.mails == ()
