"""Writes the generated pages: `python -m tools.docs [--check]`. With --check it only says which are stale."""

import argparse
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from tools.docs import diagrams, rules, specification, topics

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"

PAGES: Mapping[str, Callable[[], str]] = {
    "topics.md": topics.render,
    "rules.md": lambda: rules.render(ROOT),
    "retest.md": diagrams.render_retest,
    "escalation.md": diagrams.render_escalation,
    "specification.md": lambda: specification.render(ROOT / "tests" / "spec"),
}


def stale() -> list[str]:
    """Return the names of pages that differ from what would be written now."""
    return [name for name, render in PAGES.items() if _read(DOCS / name) != render()]


def _read(path: Path) -> str | None:
    return path.read_text("utf-8") if path.exists() else None


def main(arguments: list[str] | None = None) -> int:
    """Command line; exit status 1 when `--check` finds a stale page."""
    parser = argparse.ArgumentParser(prog="python -m tools.docs", description=__doc__)
    parser.add_argument("--check", action="store_true")
    names = stale()
    if parser.parse_args(arguments).check:
        for name in names:
            sys.stderr.write(f"docs/{name} is stale: run `make docs`\n")
        return 1 if names else 0
    DOCS.mkdir(exist_ok=True)
    for name in names:
        (DOCS / name).write_text(PAGES[name](), "utf-8")
        print(f"docs/{name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
