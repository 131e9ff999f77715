"""The only file that knows Faust: group membership, fetching, sending.

Faust skips, repeats and commits early around rebalances (docs/adr/0009-faust-in-one-file.md), so it is used as a
carrier that nobody trusts. Deliberately absent: tables, `take`, `concurrency`, exactly-once, the web server, and
anything awaited that a rebalance might need us for.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterable, Awaitable, Callable, Collection, Mapping
from typing import Any

import faust
import structlog
from aiokafka.errors import KafkaError
from faust.types import TP

from services.common.inbox import Source
from services.common.kafka import KafkaSettings
from services.common.outbox import Unsaid
from services.detector.app.carrier import BrokerAway, Record

log = structlog.get_logger("detector.stream")


class QuietApp(faust.App):
    """Faust without the directory it makes for tables."""

    async def on_first_start(self) -> None:
        """Nothing is kept beside the store."""


def build_app(kafka: KafkaSettings, group: str, session_seconds: float) -> faust.App:
    """Return the Faust app of a worker; must be called inside the event loop it will run in."""
    return QuietApp(
        group,
        broker=[f"aiokafka://{server}" for server in kafka.servers],
        broker_credentials=_credentials(kafka),
        store="memory://",
        topic_allow_declare=False,
        topic_disable_leader=True,
        consumer_auto_offset_reset="earliest",
        stream_wait_empty=False,  # a rebalance need not wait for us: the store knows what is done
        broker_commit_interval=2.8,
        broker_session_timeout=session_seconds,
        broker_heartbeat_interval=min(3.0, session_seconds / 3),
        broker_rebalance_timeout=60.0,
        broker_request_timeout=90.0,
        broker_max_poll_interval=3_600.0,  # nothing is polled while the database is away; stuck is the watchdog's
        producer_acks=-1,
        producer_linger=0.0,
        producer_max_batch_size=262_144,
        producer_request_timeout=120.0,
        web_enabled=False,
        worker_redirect_stdouts=False,
    )


def _credentials(kafka: KafkaSettings) -> faust.SASLCredentials | faust.SSLCredentials | None:
    context = kafka.ssl_context()
    if kafka.security_protocol.startswith("SASL"):
        return faust.SASLCredentials(
            username=kafka.sasl_username,
            password=kafka.password(),
            mechanism=kafka.sasl_mechanism,
            ssl_context=context,
        )
    return None if context is None else faust.SSLCredentials(context)


class FaustCarrier:
    """One Faust app with one agent that hands every record on without looking."""

    def __init__(self, app: faust.App, topic: str) -> None:
        self._app, self._topic = app, topic
        self._seeks: set[asyncio.Task[None]] = set()
        self._sinks: dict[str, Any] = {}

    def collect(self, receive: Callable[[Record], Awaitable[None]], on_assigned: Callable[[], None]) -> None:
        """Register who takes the records; before the start."""

        async def collect(stream: Any) -> None:  # noqa: ANN401 - the stream of Faust has no useful type
            events: AsyncIterable[Any] = stream.noack().events()
            async for event in events:
                message = event.message
                source = Source(message.topic, message.partition)
                await receive(Record(source, message.offset, message.key, message.value, event.ack))

        async def assigned(_sender: Any, *_: Any, signal: Any = None, **__: Any) -> None:  # noqa: ANN401, ARG001
            on_assigned()

        self._app.agent(self._raw(self._topic), name="collect")(collect)
        self._app.on_partitions_assigned.connect(assigned, weak=False)  # type: ignore[arg-type] # Faust passes more than it types

    def _raw(self, topic: str) -> Any:  # noqa: ANN401 - Faust's topics are generic in what we do not use
        return self._app.topic(topic, key_type=bytes, value_type=bytes, key_serializer="raw", value_serializer="raw")

    async def start(self) -> None:
        """Join the group."""
        await self._app.start()

    async def stop(self, within_seconds: float) -> None:
        """Leave the group."""
        for task in self._seeks:
            task.cancel()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._app.stop(), within_seconds)

    @property
    def crashed(self) -> bool:
        """Whether a part of Faust has given up; the process must end."""
        return bool(self._app.crashed)

    def owned(self) -> set[Source]:
        """Return the partitions that are ours; none while they are being assigned."""
        if self.assigning():
            return set()
        assigned = self._app.assignor.assigned_actives()
        return {Source(tp.topic, tp.partition) for tp in assigned if tp.topic == self._topic}

    def assigning(self) -> bool:
        """Tell whether partitions are being assigned."""
        return bool(self._app.rebalancing) or not self._app.started

    def seek(self, source: Source, offset: int) -> None:
        """Ask for records from an offset on. Never awaited: during a rebalance the seek waits for what waits for us."""
        task = asyncio.create_task(self._seek(source, offset))
        self._seeks.add(task)
        task.add_done_callback(self._seeks.discard)

    async def _seek(self, source: Source, offset: int) -> None:
        try:
            await self._app.consumer.seek_wait({TP(*source): offset})
        except Exception as problem:  # noqa: BLE001 - the nudge asks again
            log.info("seek failed", problem=type(problem).__name__)

    async def beginnings(self, sources: Collection[Source]) -> dict[Source, int]:
        """Return the first offsets the broker has. Raises BrokerAway."""
        return await self._ask(self._app.consumer.earliest_offsets, sources)

    async def ends(self, sources: Collection[Source]) -> dict[Source, int]:
        """Return the offsets after the last. Raises BrokerAway."""
        return await self._ask(self._app.consumer.highwaters, sources)

    async def _ask(
        self, question: Callable[..., Awaitable[Mapping[TP, int]]], sources: Collection[Source]
    ) -> dict[Source, int]:
        try:
            answer = await question(*(TP(*source) for source in sources))
        except KafkaError as problem:
            raise BrokerAway(type(problem).__name__) from problem
        return {Source(tp.topic, tp.partition): offset for tp, offset in answer.items()}

    async def send(self, message: Unsaid) -> Awaitable[object]:
        """Enqueue a message; the returned future is done when the broker has acknowledged it. Raises BrokerAway."""
        if message.topic not in self._sinks:
            self._sinks[message.topic] = self._raw(message.topic)
        try:
            acknowledged: Awaitable[object] = await self._sinks[message.topic].send(
                key=message.key, value=message.value
            )
        except KafkaError as problem:
            raise BrokerAway(type(problem).__name__) from problem
        return acknowledged
