"""Words and layouts of messages and pages: `templates/<language>/words.toml` beside shared Jinja layouts.

The catalogues are read once and strictly: both languages have the same keys with the same places to fill in.
"""

import tomllib
from collections.abc import Mapping
from datetime import tzinfo
from pathlib import Path
from string import Formatter

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

from services.common.errors import Misconfigured
from services.notifier.domain.message import Letter, Message, View, compose
from services.notifier.domain.values import Tier
from services.notifier.domain.words import Language, Words

TEMPLATES = Path(__file__).parent.parent / "templates"
Catalogue = Mapping[str, Mapping[str, str]]


class Letters:
    """Writes messages in every language. Raises Misconfigured if a catalogue is incomplete."""

    def __init__(self, zone: tzinfo, folder: Path = TEMPLATES) -> None:
        catalogues = read_catalogues(folder)
        self._words = {language: Words(language, catalogues[language], zone) for language in Language}
        self._layouts = environment(folder)

    def words(self, language: str) -> Words:
        """Return the words of a language; an unknown one reads Chinese and English users alike as English."""
        return self._words[Language(language) if language in tuple(Language) else Language.EN]

    def write(
        self, view: View, *, tier: Tier | str, language: str, ack_url: str | None = None, call_back: str = ""
    ) -> Message:
        """Return subject, text and HTML of an alert, an overdue retest or a digest."""
        words = self.words(language)
        letter = compose(view, tier=Tier(tier), words=words, ack_url=ack_url, call_back=call_back)
        if tier == Tier.PAGE:
            return Message(letter.subject, letter.subject)
        return self._render(letter, words)

    def _render(self, letter: Letter, words: Words) -> Message:
        text = self._layouts.get_template("mail.txt").render(letter=letter, words=words)
        html = self._layouts.get_template("mail.html").render(letter=letter, words=words)
        return Message(letter.subject, text, html)


def environment(folder: Path = TEMPLATES) -> Environment:
    """Return the layouts: HTML escapes everything, a missing value is an error."""
    return Environment(
        loader=FileSystemLoader(folder),
        autoescape=select_autoescape(("html",)),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )


def read_catalogues(folder: Path = TEMPLATES) -> Mapping[Language, Catalogue]:
    """Return the words of all languages. Raises Misconfigured where they differ in more than their texts."""
    catalogues = {language: _read(folder / language / "words.toml") for language in Language}
    first, *others = Language
    for other in others:
        if faults := list(_differences(catalogues[first], catalogues[other])):
            raise Misconfigured("words", f"{first} and {other} differ in: {', '.join(faults)}")
    return catalogues


def _read(path: Path) -> Catalogue:
    try:
        found = tomllib.loads(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as problem:
        raise Misconfigured("words", f"{path}: {problem}") from problem
    for section, texts in found.items():
        if not isinstance(texts, dict) or not all(isinstance(text, str) for text in texts.values()):
            raise Misconfigured("words", f"{path}: [{section}] must hold texts only")
    return found


def _differences(one: Catalogue, other: Catalogue) -> list[str]:
    shapes = [
        {f"{section}.{key}": _places(text) for section, texts in catalogue.items() for key, text in texts.items()}
        for catalogue in (one, other)
    ]
    keys = shapes[0].keys() | shapes[1].keys()
    return sorted(key for key in keys if shapes[0].get(key) != shapes[1].get(key))


def _places(text: str) -> frozenset[str]:
    return frozenset(name for _, name, _, _ in Formatter().parse(text) if name is not None)
