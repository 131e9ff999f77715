"""`raw-messages.v1`: every frame or body exactly as received; everything else can be derived from it again."""

import base64
import binascii
from typing import Annotated, Literal

from pydantic import EncodedBytes, EncoderProtocol, Field

from schemas.base import Identifier, Instant, Message


class StrictBase64(EncoderProtocol):
    """Standard base64; anything else is an error, never half a message."""

    @classmethod
    def decode(cls, data: bytes) -> bytes:
        """Return the bytes. Raises ValueError."""
        try:
            return base64.b64decode(data, validate=True)
        except binascii.Error as problem:
            raise ValueError(str(problem)) from problem

    @classmethod
    def encode(cls, value: bytes) -> bytes:
        """Return one line of base64."""
        return base64.b64encode(value)

    @classmethod
    def get_json_format(cls) -> Literal["base64"]:
        """Name in the JSON Schema."""
        return "base64"


Body = Annotated[bytes, EncodedBytes(encoder=StrictBase64)]
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
    body: Body = Field(repr=False)
