"""The mail server of the tests takes, refuses, goes down and comes back as a real one does."""

import smtplib
from collections.abc import Iterator
from email.message import EmailMessage

import pytest

from tests.support.mailbox import Mailbox


@pytest.fixture
def mailbox() -> Iterator[Mailbox]:
    with Mailbox() as up:
        yield up


def a_mail(subject: str = "铁蛋白 ferritin") -> EmailMessage:
    message = EmailMessage()
    message["Subject"] = subject
    message["From"] = "irae@example.org"
    message.set_content("one line\n")
    message.add_alternative("<p>one line</p>", subtype="html")
    return message


def send(mailbox: Mailbox, *recipients: str) -> dict[str, tuple[int, bytes]]:
    with smtplib.SMTP("127.0.0.1", mailbox.port, timeout=5) as client:
        return client.send_message(a_mail(), to_addrs=list(recipients))


def test_a_mail_is_found_by_its_recipient_with_text_and_html(mailbox: Mailbox) -> None:
    send(mailbox, "a@example.org")
    (mail,) = mailbox.wait_for(lambda mail: "a@example.org" in mail.recipients, 5)
    assert (mail.subject, mail.text, mail.html) == ("铁蛋白 ferritin", "one line\n", "<p>one line</p>\n")
    assert "one line" in mail


def test_one_refused_recipient_does_not_keep_the_others_from_the_mail(mailbox: Mailbox) -> None:
    mailbox.refuses.add("b@example.org")
    refused = send(mailbox, "a@example.org", "b@example.org")
    assert list(refused) == ["b@example.org"]
    assert mailbox.mails[0].recipients == ("a@example.org",)
    assert mailbox.refused == ["b@example.org"]


def test_what_never_comes_is_said_with_what_came_instead(mailbox: Mailbox) -> None:
    send(mailbox, "a@example.org")
    with pytest.raises(TimeoutError, match="ferritin"):
        mailbox.wait_for(lambda mail: "troponin" in mail.subject, 0.05)


def test_a_server_that_went_down_comes_back_on_the_same_port(mailbox: Mailbox) -> None:
    port = mailbox.port
    mailbox.down()
    with pytest.raises(OSError, match="refused"):
        send(mailbox, "a@example.org")
    mailbox.up()
    send(mailbox, "a@example.org")
    assert mailbox.port == port
    assert len(mailbox.to("a@example.org")) == 1
