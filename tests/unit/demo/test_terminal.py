"""The terminal shows the first page and the first mail in full, every further one in a line, and what failed."""

import io
from email.message import EmailMessage

from rich.console import Console

from deploy.demo.terminal import Terminal
from tests.support.mailbox import Mail


def a_mail(address: str, subject: str, text: str) -> Mail:
    message = EmailMessage()
    message["To"], message["Subject"] = address, subject
    message.set_content(text)
    return Mail("irae@example.org", (address,), message, 0.0)


def a_terminal() -> tuple[Terminal, io.StringIO]:
    printed = io.StringIO()
    return Terminal(Console(file=printed, width=120)), printed


def test_the_first_page_and_mail_are_shown_in_full_and_the_next_in_a_line() -> None:
    terminal, printed = a_terminal()
    terminal.mail(a_mail("li@pager.example.org", "LAB ALERT 1", "call 5500"))
    assert not terminal.both_shown.is_set()
    terminal.mail(a_mail("li@example.org", "Lab alert 1", "evidence [bold]as text[/bold]"))
    terminal.mail(a_mail("wang@example.org", "Lab alert 2", "unseen"))
    shown = printed.getvalue()
    assert terminal.both_shown.is_set()
    assert "the first page, as it came out" in shown
    assert "evidence [bold]as text[/bold]" in shown
    assert "to wang@example.org: Lab alert 2" in shown
    assert "unseen" not in shown


def test_a_failure_is_shown_with_the_end_of_the_log() -> None:
    terminal, printed = a_terminal()
    terminal.failure("detector ended with 1", "Traceback: [no such file]")
    assert "detector ended with 1" in printed.getvalue()
    assert "Traceback: [no such file]" in printed.getvalue()
