"""What the person at the terminal sees: short coloured lines, the first page and mail in full, the addresses."""

import threading

from rich.console import Console, Group
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from services.common.clock import utc_now
from tests.support.mailbox import Mail

WHO_COLUMNS = 9
COLOURS = {
    "broker": "blue", "services": "blue", "ward": "green", "page": "bold red", "mail": "magenta", "demo": "cyan",
}  # fmt: skip
PAGER_DOMAIN = "@pager."


class Terminal:
    """Speaks to the terminal; may be called from any thread."""

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console(highlight=False)
        self._lock = threading.Lock()
        self._shown: set[str] = set()
        self.both_shown = threading.Event()
        """Set once a page and a mail have been shown in full."""

    def say(self, who: str, sentence: str, *, style: str = "") -> None:
        """Print one line: local time, who speaks, what."""
        line = Text().append(f"{utc_now().astimezone():%H:%M:%S} ", style="dim")
        line.append(f"{who:<{WHO_COLUMNS}}", style=COLOURS.get(who, ""))
        line.append(sentence, style=style)
        self.console.print(line, soft_wrap=True)

    def broker(self, sentence: str) -> None:
        """Print a line about the broker, as `deploy.broker` words it."""
        self.say("broker", sentence.removeprefix("broker: "))

    def ward(self, sentence: str) -> None:
        """Print what happens on the ward."""
        self.say("ward", sentence)

    def mail(self, mail: Mail) -> None:
        """Show the first page and the first mail as they came out, the others in a line."""
        kind = "page" if any(PAGER_DOMAIN in address for address in mail.recipients) else "mail"
        with self._lock:
            first = kind not in self._shown
            self._shown.add(kind)
        if first:
            self._in_full(kind, mail)
        else:
            self.say(kind, f"to {', '.join(mail.recipients)}: {mail.subject}")
        if {"page", "mail"} <= self._shown:
            self.both_shown.set()

    def _in_full(self, kind: str, mail: Mail) -> None:
        head = Text()
        for name in ("From", "To", "Subject", "Date", "Message-ID"):
            head.append(f"{name}: ", style="dim").append(f"{mail.message[name] or ''}\n")
        body = Text(mail.text.strip())
        title = f"the first {kind}, as it came out"
        self.console.print(Panel(Group(head, body), title=title, border_style=COLOURS[kind], expand=False))

    def addresses(self, rows: dict[str, str]) -> None:
        """Print where everything is."""
        table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
        for name, address in rows.items():
            table.add_row(Text(name, style="dim"), Text(address))
        self.console.print(Panel(table, title="running; Ctrl-C ends everything", border_style="cyan", expand=False))

    def failure(self, sentence: str, tail: str = "") -> None:
        """Print what went wrong, and the last lines of the log of whoever failed."""
        self.say("demo", sentence, style="bold red")
        if tail:
            self.console.print(Panel(Text(tail), title="last lines of its log", border_style="red"))
