"""Which version of a result counts, whatever order the versions arrived in (RULES.md 1.1).

Law: the answer is a function of the set of versions. Arrival decides nothing but `received_at`, a recorded fact.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from decimal import Decimal

from services.detector.domain.results import CORRECTED, DELETED, FINAL, ZERO, resulted_at
from services.detector.domain.values import LabResult

PRELIMINARY_CLASS, FINAL_CLASS, CORRECTED_CLASS, DELETED_CLASS = 1, 2, 3, 4
Content = tuple[object, ...]


def class_of(result: LabResult) -> int:
    """Return 1 to 4: preliminary, final, corrected, deleted. A letter nobody knows is no more than preliminary."""
    status = result.status
    if status in FINAL:
        return FINAL_CLASS
    if status in CORRECTED:
        return CORRECTED_CLASS
    return DELETED_CLASS if status in DELETED else PRELIMINARY_CLASS


def _order(result: LabResult) -> tuple[datetime, int, bool, Decimal, str]:
    value = result.value
    return (
        resulted_at(result), class_of(result), value is not None,
        ZERO if value is None else value, result.comparator or "",
    )  # fmt: skip


def content_of(result: LabResult) -> Content:
    """Return what makes two versions the same: everything but when and by whom they were brought."""
    return (
        result.result_id, class_of(result), result.value, result.comparator, result.unit, result.reference_low,
        result.reference_high, result.collected_at, result.collected_precision, result.resulted_at,
        result.remarks, result.specimen, result.assay, result.code, result.status,
    )  # fmt: skip


def without_repeats(versions: Iterable[LabResult]) -> tuple[LabResult, ...]:
    """Keep of equal contents the one received first, in an order that does not depend on arrival."""
    first: dict[Content, LabResult] = {}
    for version in versions:
        content = content_of(version)
        kept = first.get(content)
        if kept is None or _brought(version) < _brought(kept):
            first[content] = version
    return tuple(sorted(first.values(), key=lambda v: (_order(v), repr(content_of(v)))))


def kept_versions(versions: Sequence[LabResult]) -> tuple[LabResult, ...]:
    """Return the versions without repeats, in an order that does not depend on arrival, for the head."""
    if len({version.result_id for version in versions}) == len(versions):
        return tuple(sorted(versions, key=_result_id))
    return without_repeats(versions)


def _result_id(version: LabResult) -> str:
    return version.result_id


def _brought(version: LabResult) -> tuple[datetime, bool, str]:
    return version.received_at, version.backfill, version.source


class _Slot:
    """One result while its versions are walked in order."""

    __slots__ = ("before", "current", "seen")

    def __init__(self) -> None:
        self.current: LabResult | None = None
        self.seen: list[LabResult] = []
        self.before: tuple[LabResult, ...] = ()

    def take(self, version: LabResult) -> None:
        version = self._with_value(version)
        if self._is_replaced_by(version):
            self.current = version
            self.before = (*self.seen, version) if class_of(version) == CORRECTED_CLASS else tuple(self.seen)
        self.seen.append(version)

    def _with_value(self, version: LabResult) -> LabResult:
        """A `U` without a value confirms the newest preliminary one; a correction without a number deletes."""
        if version.value is None and version.status == "U":
            for earlier in reversed(self.seen):
                if class_of(earlier) == PRELIMINARY_CLASS and earlier.value is not None:
                    return replace(
                        version, value=earlier.value, comparator=earlier.comparator, unit=earlier.unit,
                        reference_low=earlier.reference_low, reference_high=earlier.reference_high,
                    )  # fmt: skip
        if version.value is None and class_of(version) == CORRECTED_CLASS:
            return replace(version, status="D")
        return version

    def _is_replaced_by(self, version: LabResult) -> bool:
        current = self.current
        if current is None:
            return True
        kind, standing = class_of(version), class_of(current)
        if kind == PRELIMINARY_CLASS and standing != PRELIMINARY_CLASS:
            return False
        if kind <= FINAL_CLASS and version.value is None and current.value is not None and standing != DELETED_CLASS:
            return False
        return not (kind == FINAL_CLASS and standing >= CORRECTED_CLASS and self._is_echo(version))

    def _is_echo(self, version: LabResult) -> bool:
        """A late duplicate of a value known before the correction, or of the correction, must not undo it."""
        if version.value is None:
            return False
        return any(old.value == version.value and old.comparator == version.comparator for old in self.before)


def current_versions(versions: Iterable[LabResult]) -> tuple[LabResult, ...]:
    """Return the standing version of every result, deleted ones included (as `D`, `W` or `X`).

    A correction without a specimen id whose collection time is new replaces the one standing result of its order.
    """
    slots: dict[str, _Slot] = {}
    moved: dict[str, str] = {}
    for version in without_repeats(versions):
        name = moved.get(version.result_id, version.result_id)
        if name not in slots and class_of(version) == CORRECTED_CLASS:
            corrected = _corrected_by(version, slots)
            if corrected is not None:
                name = moved[version.result_id] = corrected
        slots.setdefault(name, _Slot()).take(version)
    return tuple(slot.current for slot in slots.values() if slot.current is not None)


def _corrected_by(version: LabResult, slots: dict[str, _Slot]) -> str | None:
    if version.specimen_id is not None or version.order_key is None:
        return None
    standing = [name for name, slot in slots.items() if _is_of_order(slot.current, version.order_key)]
    return standing[0] if len(standing) == 1 else None


def _is_of_order(current: LabResult | None, order_key: str) -> bool:
    return current is not None and current.order_key == order_key and class_of(current) != DELETED_CLASS


def may_move(version: LabResult) -> bool:
    """Return whether this version could be the correction of a result collected at another time."""
    return class_of(version) == CORRECTED_CLASS and version.specimen_id is None and version.order_key is not None


def by_result(versions: Sequence[LabResult]) -> dict[str, list[LabResult]]:
    """Group versions that can concern each other: by order where a correction may move one, else by result id."""
    movable = {version.order_key for version in versions if may_move(version)}
    groups: dict[str, list[LabResult]] = {}
    for version in versions:
        shared = version.order_key in movable and version.order_key is not None
        key = f"order {version.order_key}" if shared else f"result {version.result_id}"
        groups.setdefault(key, []).append(version)
    return groups
