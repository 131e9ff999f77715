"""Say in the reader's language the few sentences that other parts write in English.

Pure. A sentence this module does not know is shown as it is: better in English than wrong or missing.
"""

import re

from services.notifier.domain.words import Words

CLEARS = {
    "episode": re.compile(
        r"at least (?P<draws>\d+) draws, (?P<analytes>.+) recovered for (?P<hours>[\d.]+) h, or a closure .*"
    ),
    "watch_of": re.compile(r"a clear result of (?P<analytes>.+), or a closure .*"),
}
BECAUSE = {
    "unheld": re.compile(r"nobody holds (?P<role>\S+) at that time"),
    "no-contact": re.compile(r"has no contact of tier (?P<tier>\S+)"),
    "unreachable": re.compile(r"nobody can be reached for (?P<role>\S+) at tier .+"),
}


def clears_text(sentence: str, words: Words) -> str:
    """Return what would clear an alert, as the detector says it."""
    for key, pattern in CLEARS.items():
        if found := pattern.fullmatch(sentence):
            parts = found.groupdict()
            parts["analytes"] = words.names("analyte", parts["analytes"].split(", "))
            return words.say("clears", key, **parts)
    return words.name("clears", sentence)


def because_text(sentence: str, words: Words) -> str:
    """Return why somebody was not told, as the routing says it."""
    for key, pattern in BECAUSE.items():
        if found := pattern.fullmatch(sentence):
            parts = found.groupdict()
            return words.say("because", key, role=words.name("role", parts.get("role")), tier=parts.get("tier"))
    return words.name("because", sentence)
