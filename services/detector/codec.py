"""A patient's head to bytes and back: one byte of version, then msgpack, compressed.

The bytes lie in the store for years: what the previous version wrote is read by this one (`_READERS`), and golden bytes
in the tests hold it. A field added to the head with a default is not a new version; anything else is.
"""

import zlib
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import replace

import msgspec

from services.detector.domain.patient import Head

VERSION = 1
FASTEST = 1

_ENCODE = msgspec.msgpack.Encoder(decimal_format="string").encode
_DECODE_1 = msgspec.msgpack.Decoder(Head).decode


class UnknownVersion(Exception):
    """The head was written by a newer version of the software: run that, this one would lose what it wrote."""


def encode(head: Head) -> bytes:
    """Return the bytes of a head in this version; what follows from the rest is left out."""
    return bytes((VERSION,)) + zlib.compress(_ENCODE(replace(head, after=None)), FASTEST)


def decode(body: bytes) -> Head:
    """Return the head. Raises UnknownVersion, and msgspec.DecodeError or zlib.error for what is not a head."""
    reader = _READERS.get(body[0]) if body else None
    if reader is None:
        raise UnknownVersion(f"head of version {body[:1].hex() or 'none'}; this software writes {VERSION}")
    return reader(body[1:])


def _read_1(body: bytes) -> Head:
    return _DECODE_1(zlib.decompress(body))


_READERS: Mapping[int, Callable[[bytes], Head]] = {1: _read_1}


class RecentHeads:
    """Heads lately written or read, by their bytes: to decode one costs a third of a decision.

    Never asked what is true, only what given bytes mean: a worker that was replaced for a while cannot be misled.
    """

    def __init__(self, size: int = 2_000) -> None:
        self._size = size
        self._heads: OrderedDict[str, tuple[bytes, Head]] = OrderedDict()

    def decode(self, patient_ref: str, body: bytes) -> Head:
        """Return the head of these bytes. Raises as `decode` does."""
        found = self._heads.get(patient_ref)
        if found is not None and found[0] == body:
            self._heads.move_to_end(patient_ref)
            return found[1]
        head = decode(body)
        self._remember(patient_ref, body, head)
        return head

    def encode(self, patient_ref: str, head: Head) -> bytes:
        """Return the bytes of a head."""
        body = encode(head)
        self._remember(patient_ref, body, head)
        return body

    def _remember(self, patient_ref: str, body: bytes, head: Head) -> None:
        self._heads[patient_ref] = (body, head)
        self._heads.move_to_end(patient_ref)
        while len(self._heads) > self._size:
            self._heads.popitem(last=False)
