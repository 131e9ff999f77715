"""The expected kinds of trouble; everything else crashes the process, and its supervisor starts it again.

Exception
└── Expected(reason, detail)
    ├── Reject      this input will never be usable: dead letter, count, go on
    └── Misconfigured   a person must act: one sentence, exit code 2
"""

EXIT_MISCONFIGURED = 2
EXIT_STUCK = 70
EXIT_REFUSED = 78


class Expected(Exception):
    """Carries `reason`, a short code that is counted, and `detail`, a sentence without identifiers."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason
        self.detail = detail


class Reject(Expected):
    """This input can never be used."""


class Misconfigured(Expected):
    """Settings, site files or topics are wrong: starting would be worse than not starting."""
