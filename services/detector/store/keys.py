"""Which results of a patient are already known, in a few bytes each.

A key is a number of 8 bytes, a hash of the result id. The newest keys are rewritten with the patient's row; once
there are `SEALED` of them they become a row of their own, sorted, never touched again. Two ids with one key make a
patient's history be read once without need, and nothing else: the question only decides whether it is read.
"""

from array import array
from bisect import bisect_left
from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

from sqlalchemy import Connection, delete, func, select

from services.detector.store.tables import RESULT_KEYS

SEALED = 512
KEY_BYTES = 8


class Segment(NamedTuple):
    """Keys to be sealed."""

    patient_ref: str
    keys: bytes


def known(asked: Collection[int], recent: bytes, sealed: Sequence[bytes]) -> set[int]:
    """Return those keys that are among the patient's."""
    found = set(asked).intersection(_unpack(recent))
    for segment in map(_unpack, sealed):
        found.update(key for key in asked if _holds(segment, key))
    return found


def _holds(segment: Sequence[int], key: int) -> bool:
    at = bisect_left(segment, key)
    return at < len(segment) and segment[at] == key


def _unpack(packed: bytes) -> "array[int]":
    keys = array("Q")
    keys.frombytes(packed)
    return keys


def add(recent: bytes, added: Collection[int]) -> tuple[bytes, bytes | None]:
    """Return the recent keys with these added, and the segment to be sealed once there are enough."""
    packed = recent + array("Q", added).tobytes()
    if len(packed) < SEALED * KEY_BYTES:
        return packed, None
    return b"", array("Q", sorted(_unpack(packed))).tobytes()


def sealed(db: Connection, patient_refs: Collection[str]) -> Mapping[str, list[bytes]]:
    """Return the sealed segments of these patients."""
    row = RESULT_KEYS.c
    segments: dict[str, list[bytes]] = {}
    for ref, keys in db.execute(select(row.patient_ref, row["keys"]).where(row.patient_ref.in_(sorted(patient_refs)))):
        segments.setdefault(ref, []).append(keys)
    return segments


def seal(db: Connection, segments: Sequence[Segment]) -> None:
    """Keep full segments for good."""
    for patient_ref, keys in segments:
        count = select(func.count()).where(RESULT_KEYS.c.patient_ref == patient_ref).scalar_subquery()
        db.execute(RESULT_KEYS.insert().values(patient_ref=patient_ref, segment=count, keys=keys))


def forget(db: Connection, patient_refs: Collection[str]) -> None:
    """Drop the sealed segments of these patients."""
    db.execute(delete(RESULT_KEYS).where(RESULT_KEYS.c.patient_ref.in_(sorted(patient_refs))))
