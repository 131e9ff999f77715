"""One step for one patient: what was known, what has come, the rules and a time give what is known and what is said.

Law: what stands is a function of (facts, `now`); the order in which facts arrive decides nothing. The newest report
costs the same whatever the length of the history; anything else is folded again from the history.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from services.detector.domain.statements import Effect
from services.detector.domain.values import Event, PatientRef, ResultId

if TYPE_CHECKING:
    from services.detector.domain.rules import Rulebook


class NeedsHistory(Exception):  # noqa: N818 - a request, not an error
    """The step cannot be made from the head alone: load all earlier facts of the patient and ask again."""


@dataclass(frozen=True, slots=True)
class Head:
    """What is kept of a patient between steps; its size does not depend on the length of the history."""

    patient_ref: PatientRef


@dataclass(frozen=True, slots=True)
class Decision:
    """The outcome of a step.

    `facts`: the given events, to be stored as fact rows (also those a mismatch keeps from counting: a corrected registry
    restores them). `dead`: events that did not count, with the reason, for the dead-letter topic.
    `wake_at`: when to ask again if nothing comes, by `decide(head, (), ...)`; None: nothing is due.
    """

    head: Head
    effects: tuple[Effect, ...] = ()
    wake_at: datetime | None = None
    facts: tuple[Event, ...] = ()
    dead: tuple[tuple[Event, str], ...] = ()


def needs_history(head: Head | None, events: Sequence[Event], *, known_results: Collection[ResultId]) -> bool:
    """Tell whether `decide` needs the earlier facts; `known_results` are those of `events` already stored.

    A False is a good guess: `decide` still raises NeedsHistory where only `now` shows the need.
    """
    raise NotImplementedError


def decide(
    head: Head | None, events: Sequence[Event], *, history: Sequence[Event] | None, rules: "Rulebook", now: datetime
) -> Decision:
    """Take `events` (none: a time step) into account at `now` and say what follows.

    `head` None: nothing is known of the patient. `history`: all facts stored earlier, in any order; None: not loaded.
    Raises NeedsHistory where it was not loaded and is needed.
    """
    raise NotImplementedError
