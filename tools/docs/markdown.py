"""The few forms of Markdown the generated pages use."""

from collections.abc import Iterable, Sequence


def generated(source: str) -> str:
    """Return the line that keeps people from editing a generated page."""
    return f"<!-- GENERATED from {source} by `make docs`. Change that, not this. -->\n\n"


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table; a bar in a cell is escaped, a line break becomes a space."""
    lines = [heads, ["---"] * len(heads), *rows]
    return "".join("| " + " | ".join(_cell(cell) for cell in line) + " |\n" for line in lines)


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())
