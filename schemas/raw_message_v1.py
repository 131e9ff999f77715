"""`raw-messages.v1`: every frame or body exactly as received; everything else can be derived from it again."""

from typing import Literal

from pydantic import Base64Bytes, Field

from schemas.base import Identifier, Instant, Message

Transport = Literal["mllp", "http", "csv"]


class RawMessage(Message):
    """One frame or body. `raw_id` is what `raw_ref` in other messages points to; never logged, never shown."""

    raw_id: Identifier
    source: Identifier
    transport: Transport
    peer: str | None = None
    received_at: Instant
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    content_type: str | None = None
    body: Base64Bytes = Field(repr=False)
