"""A figure is a value with its conditions, beside a named baseline measured in the same run.

Every benchmark writes its figures to `build/bench/<name>.json`; `docs/benchmarks.md` is written from all of them.
"""

import json
import os
import platform
import statistics
import subprocess
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[1]
BUILD = REPOSITORY / "build" / "bench"
PAGE = REPOSITORY / "docs" / "benchmarks.md"
OPENING = """# Benchmarks

Written by `make bench`; medians of the runs, each beside its baseline in the same runs."""
HEAD = ("figure", "value", "conditions", "beside", "ratio", "floor", "runs")
RUNS = 5
"""Medians of fewer runs say more about the machine's mood than about the code."""


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured figure. `runs` holds each run's value, `value` is their median; `floor` is what must be reached.

    `baseline` names what stands beside it, `baseline_value` its median in the same runs, in the same unit.
    """

    name: str
    value: float
    unit: str
    conditions: str
    runs: tuple[float, ...]
    baseline: str = ""
    baseline_value: float | None = None
    floor: str = ""

    @property
    def ratio(self) -> float | None:
        """The value over its baseline."""
        return self.value / self.baseline_value if self.baseline_value else None

    def line(self) -> str:
        """Return the figure in one line for the terminal."""
        beside = f"; {self.ratio:.2f} x {self.baseline} ({_short(self.baseline_value)})" if self.ratio else ""
        floor = f"; floor {self.floor}" if self.floor else ""
        return f"{self.name}: {_short(self.value)} {self.unit}  [{self.conditions}]{beside}{floor}"


def figure(
    name: str,
    runs: Sequence[float],
    unit: str,
    conditions: str,
    *,
    baseline: str = "",
    baseline_runs: Sequence[float] = (),
    floor: str = "",
) -> Figure:
    """Return the median of the runs as a figure."""
    beside = statistics.median(baseline_runs) if baseline_runs else None
    return Figure(name, statistics.median(runs), unit, conditions, tuple(runs), baseline, beside, floor)


def quantile(values: Sequence[float], share: float) -> float:
    """Return the nearest-rank quantile of the values."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, max(0, round(share * len(ordered)) - 1))]


def write(name: str, figures: Sequence[Figure], *, at: datetime) -> Path:
    """Print a line per figure, keep them as JSON and write the page anew."""
    for each in figures:
        print(each.line(), flush=True)
    BUILD.mkdir(parents=True, exist_ok=True)
    path = BUILD / f"{name}.json"
    content = {
        "benchmark": name,
        "at": at.isoformat(timespec="seconds"),
        "machine": machine(),
        "commit": commit(),
        "figures": [asdict(each) | {"ratio": each.ratio} for each in figures],
    }
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", "utf-8")
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(page(), "utf-8")
    return path


def page() -> str:
    """Return docs/benchmarks.md: what has been measured on this machine, and what the page said of the others."""
    sections = _sections(PAGE.read_text("utf-8")) if PAGE.exists() else {}
    for path in BUILD.glob("*.json"):
        content = json.loads(path.read_text("utf-8"))
        if isinstance(content, dict) and "figures" in content:
            sections[content["benchmark"]] = _section(content)
    parts = [f"## {name}\n\n{body}" for name, body in sorted(sections.items())]
    return "\n\n".join([OPENING, *parts]) + "\n"


def _sections(text: str) -> dict[str, str]:
    """Return the page's sections by their headings."""
    return {name: body.strip() for name, _, body in (part.partition("\n") for part in text.split("\n## ")[1:])}


def _section(content: dict[str, Any]) -> str:
    """Return one benchmark's conditions and its table."""
    rows = (HEAD, ("---",) * len(HEAD), *map(_row, content["figures"]))
    table = "\n".join(f"| {' | '.join(row)} |" for row in rows)
    return f"{content['at'][:10]}, {content['machine']}, commit {content['commit']}\n\n{table}"


def _row(each: dict[str, object]) -> tuple[str, ...]:
    def number(key: str) -> str:
        value = each.get(key)
        return _short(value) if isinstance(value, int | float) else ""

    runs = each.get("runs")
    beside = f"{each['baseline']}: {number('baseline_value')} {each['unit']}" if each.get("baseline") else ""
    return (
        str(each["name"]),
        f"{number('value')} {each['unit']}",
        str(each["conditions"]),
        beside,
        number("ratio"),
        str(each.get("floor", "")),
        str(len(runs)) if isinstance(runs, list) else "",
    )


def _short(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def machine() -> str:
    """Return what the figures depend on most: processors, system, Python."""
    return f"{os.cpu_count()} cores, {platform.system()} {platform.machine()}, Python {platform.python_version()}"


def commit() -> str:
    """Return the commit that was measured; empty outside a checkout."""
    found = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=REPOSITORY, capture_output=True, text=True, check=False
    )
    return found.stdout.strip()
