"""Read TOML and CSV files strictly; every fault is a sentence that names the file and the key.

Faults are collected rather than raised one by one: a person mends a file once, not ten times.
"""

import csv
import re
import tomllib
from collections.abc import Mapping
from datetime import date, time, timedelta
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
M = TypeVar("M", bound=BaseModel)
WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


class SiteFaults(Exception):
    """The site's files cannot be used as they are; `sentences` says why, one per fault."""

    def __init__(self, sentences: list[str]) -> None:
        self.sentences = sentences
        super().__init__("; ".join(sentences))


def parse_duration(text: object) -> timedelta:
    """Return the duration of a text such as "15m". Raises ValueError."""
    match = DURATION.fullmatch(text) if isinstance(text, str) else None
    if match is None or float(match[1]) <= 0:
        raise ValueError('must be a duration with its unit, such as "15m", "90s" or "7d"')
    return timedelta(seconds=float(match[1]) * UNITS[match[2]])


def parse_wall(text: object) -> time:
    """Return the wall-clock time of a text such as "08:00". Raises ValueError."""
    if isinstance(text, str) and re.fullmatch(r"([01]\d|2[0-3]):[0-5]\d", text):
        return time.fromisoformat(text)
    raise ValueError('must be a wall-clock time such as "08:00"')


def parse_weekday(text: object) -> int:
    """Return 0 for "mon" to 6 for "sun". Raises ValueError."""
    if isinstance(text, str) and text.lower() in WEEKDAYS:
        return WEEKDAYS.index(text.lower())
    raise ValueError("must be one of mon, tue, wed, thu, fri, sat, sun")


Duration = Annotated[timedelta, BeforeValidator(parse_duration)]
Wall = Annotated[time, BeforeValidator(parse_wall)]
Weekday = Annotated[int, BeforeValidator(parse_weekday)]
Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,63}$")]


class Strict(BaseModel):
    """Refuses keys it does not know."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class Approved(Strict):
    """Who signed a rule off, and when."""

    by: str = Field(min_length=1)
    on: date


class Sourced(Strict):
    """A rule carries its words, its source and its sign-off beside its numbers."""

    criterion: str = Field(min_length=1)
    source: str = Field(min_length=1)
    approved: Approved


def read_toml(path: Path, faults: list[str], *, required: bool = True) -> dict[str, Any]:
    """Return the file's content; on trouble an empty one and a sentence."""
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        if required:
            faults.append(f"{path}: does not exist")
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as problem:
        faults.append(f"{path}: cannot be read: {problem}")
    return {}


def read_csv(path: Path, columns: tuple[str, ...], faults: list[str]) -> list[tuple[int, dict[str, str]]]:
    """Return rows with their line numbers; empty lines and lines that begin with # are skipped."""
    try:
        lines = path.read_text("utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as problem:
        faults.append(f"{path}: cannot be read: {problem}")
        return []
    kept = [
        (number, line) for number, line in enumerate(lines, 1) if line.strip() and not line.lstrip().startswith("#")
    ]
    rows = [next(csv.reader([line]), []) for _, line in kept]
    if not rows or tuple(cell.strip() for cell in rows[0]) != columns:
        faults.append(f"{path}: the first line must be {','.join(columns)}")
        return []
    found = []
    for (number, _), row in zip(kept[1:], rows[1:], strict=True):
        if len(row) != len(columns):
            faults.append(f"{path}: line {number}: has {len(row)} columns, {len(columns)} are needed")
        else:
            found.append((number, dict(zip(columns, (cell.strip() for cell in row), strict=True))))
    return found


def merged(defaults: Mapping[str, Any], site: Mapping[str, Any]) -> dict[str, Any]:
    """Lay the site's file over the defaults, key by key; lists and values are replaced whole."""
    both = dict(defaults)
    for key, value in site.items():
        known = both.get(key)
        both[key] = merged(known, value) if isinstance(known, Mapping) and isinstance(value, Mapping) else value
    return both


def validated(model: type[M], content: Mapping[str, Any], where: str, faults: list[str]) -> M | None:
    """Return the content as a model; on trouble None and a sentence per fault."""
    try:
        return model.model_validate(content)
    except ValidationError as problem:
        for error in problem.errors(include_url=False, include_input=False):
            key = ".".join(str(part) for part in error["loc"])
            faults.append(f"{where}: {key}: {error['msg'].removeprefix('Value error, ')}")
        return None
