"""docs/rules.md from every rule file: the criterion in words beside its numbers, source and sign-off."""

import tomllib
from collections.abc import Iterator, Mapping
from datetime import date
from pathlib import Path
from typing import Any

from tools.docs.markdown import generated, table

WORDS = ("criterion", "source", "approved")
SIGNS = {"gt": ">", "ge": "≥", "lt": "<", "le": "≤"}
REFERENCES = {"uln": "ULN", "lln": "LLN", "baseline": "baseline"}
Rule = tuple[str, Mapping[str, Any]]


def render(root: Path) -> str:
    """Return the page: a chapter per rule file, a row per rule."""
    files = sorted(root.glob("services/*/rules/*.toml"))
    chapters = [_chapter(path.relative_to(root), path) for path in files]
    return (
        generated("services/*/rules/*.toml")
        + "# Rules in force\n\n"
        + "What the shipped files say. A site overrides key by key in `SITE_DIR/rules/`; "
        + "the services refuse unknown keys.\n\n"
        + "\n".join(chapters)
    )


def _chapter(name: Path, path: Path) -> str:
    text = path.read_text("utf-8")
    rows = [_row(rule) for rule in rules_of(tomllib.loads(text))]
    body = table(["id", "criterion", "bounds", "source", "approved"], rows) if rows else "No rule with a criterion.\n"
    return f"## `{name.as_posix()}`\n\n{_opening(text)}\n{body}"


def _opening(text: str) -> str:
    """Return the file's opening comment: what it is about."""
    lines = []
    for line in text.splitlines():
        if not line.startswith("#"):
            break
        lines.append(line.removeprefix("#").strip())
    return "\n".join(lines) + "\n" if lines else ""


def rules_of(found: Mapping[str, Any], prefix: str = "") -> Iterator[Rule]:
    """Yield every table that states a criterion, under its dotted id; a stated `id` wins."""
    for key, value in found.items():
        for name, entry in _tables(f"{prefix}{key}", value):
            if "criterion" in entry:
                yield str(entry.get("id", name)), entry
            yield from rules_of(entry, f"{name}.")


def _tables(name: str, value: object) -> Iterator[Rule]:
    if isinstance(value, dict):
        yield name, value
    elif isinstance(value, list):
        for number, entry in enumerate(value, 1):
            if isinstance(entry, dict):
                yield str(entry.get("id", f"{name}.{number}")), entry


def _row(rule: Rule) -> list[str]:
    name, entry = rule
    bounds = "; ".join(
        f"{key} = {_plain(value)}" for key, value in entry.items() if key not in (*WORDS, "id") and not _is_rule(value)
    )
    return [f"`{name}`", str(entry["criterion"]), bounds, str(entry.get("source", "")), _signed(entry.get("approved"))]


def _is_rule(value: object) -> bool:
    """Say whether a value is shown in a row of its own."""
    entries = value if isinstance(value, list) else [value]
    return any(isinstance(entry, dict) and "criterion" in entry for entry in entries)


def _plain(value: object) -> str:
    match value:
        case dict() if len(value) == 1 and (of := REFERENCES.get(next(iter(value)))):
            return f"{next(iter(value.values()))} × {of}"
        case dict():
            return ", ".join(f"{SIGNS.get(key, key + ':')} {_plain(inner)}" for key, inner in value.items())
        case list() if any(isinstance(inner, dict) for inner in value):
            return "".join(f"<br>{_plain(inner)}" for inner in value)
        case list():
            return ", ".join(f"[{_plain(inner)}]" if isinstance(inner, list) else _plain(inner) for inner in value)
        case bool():
            return "yes" if value else "no"
        case date():
            return value.isoformat()
        case _:
            return str(value)


def _signed(approved: object) -> str:
    if not isinstance(approved, dict):
        return "" if approved is None else str(approved)
    return ", ".join(_plain(value) for value in approved.values())
