"""docs/retest.md and docs/escalation.md: state diagrams from the tables that decide what is legal."""

import importlib
from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Any

from tools.docs.markdown import generated

Table = Mapping[StrEnum, Mapping[StrEnum, Any]]


def render_retest() -> str:
    """Return the page on episodes and retest plans. A plan's status is derived from times, so it has no table."""
    return _page(
        "The retest plan and its episode", "services.detector.domain.episode", "services.detector.domain.retest"
    )


def render_escalation() -> str:
    """Return the page on the ladder of an alert."""
    return _page("The ladder of an alert", "services.notifier.domain.escalation")


def _page(title: str, *modules: str) -> str:
    sources = ", ".join(f"{module.replace('.', '/')}.py" for module in modules)
    return generated(sources) + f"# {title}\n\n" + "\n".join(_section(module) for module in modules)


def _section(name: str) -> str:
    module = importlib.import_module(name)
    table = getattr(module, "TRANSITIONS", None)
    return f"## `{name}`\n\n{(module.__doc__ or '').strip()}\n" + (f"\n{diagram(table)}" if table else "")


def diagram(transitions: Table) -> str:
    """Return a Mermaid state diagram; a target may be one phase or a set of them."""
    lines = [
        f"    {phase.name} --> {target.name}: {cause.value}"
        for phase, causes in transitions.items()
        for cause, targets in causes.items()
        for target in _targets(targets)
    ]
    return "```mermaid\nstateDiagram-v2\n" + "\n".join(lines) + "\n```\n"


def _targets(targets: StrEnum | frozenset[StrEnum]) -> Iterator[StrEnum]:
    if isinstance(targets, StrEnum):
        yield targets
    else:
        yield from sorted(targets)
