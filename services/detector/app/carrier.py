"""What carries messages to and from the detector, and how to wait for it; stream.py is the one that is used."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Collection
from typing import NamedTuple, Protocol, TypeVar

from services.common.inbox import Source
from services.common.outbox import Unsaid

ASK_SECONDS = 10.0

T = TypeVar("T")


class BrokerAway(Exception):
    """The carrier could not ask or send."""


class Record(NamedTuple):
    """A record as the carrier brought it."""

    source: Source
    offset: int
    key: bytes | None
    value: bytes | None
    acknowledge: Callable[[], object]


class Carrier(Protocol):
    """Membership, fetching, sending. Questions and sending raise BrokerAway."""

    def owned(self) -> set[Source]:
        """Return the partitions that are ours; none while they are being assigned."""

    def assigning(self) -> bool:
        """Tell whether partitions are being assigned."""

    def seek(self, source: Source, offset: int) -> None:
        """Ask for records from an offset on, without waiting."""

    async def beginnings(self, sources: Collection[Source]) -> dict[Source, int]:
        """Return the first offsets the broker has."""

    async def ends(self, sources: Collection[Source]) -> dict[Source, int]:
        """Return the offsets after the last."""

    async def send(self, message: Unsaid) -> Awaitable[object]:
        """Enqueue a message; the returned future is done when the broker has acknowledged it."""


async def answered(question: Awaitable[T], seconds: float = ASK_SECONDS) -> T:
    """Return the answer. Raises BrokerAway if it does not come in time."""
    try:
        return await asyncio.wait_for(question, seconds)
    except TimeoutError as problem:
        raise BrokerAway(f"no answer within {seconds:.0f} s") from problem


async def wait_for(event: asyncio.Event, seconds: float) -> None:
    """Wait for an event, but not for longer."""
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(event.wait(), seconds)


def reason_of(problem: Exception) -> str:
    """Return the driver's own words: SQLAlchemy's text holds the statement's parameters."""
    cause = getattr(problem, "orig", None) or problem
    return f"{type(cause).__name__}: {(str(cause).splitlines() or [''])[0]}"[:200]
