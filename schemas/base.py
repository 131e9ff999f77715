"""What every message has in common: how it is read, how it is written, what its instants look like.

Law (CONTRIBUTING.md, "Schema rules"): within a version only optional fields are added; readers ignore unknown
fields; everything else is a new version in a new file on a new topic.
"""

from decimal import Decimal
from enum import StrEnum
from typing import Annotated

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, PlainSerializer

MAX_DECIMAL_CHARACTERS = 40


def _finite(value: Decimal) -> Decimal:
    if not value.is_finite():
        message = "must be a finite number"
        raise ValueError(message)
    return value


def _plain(value: Decimal) -> str:
    """Without an exponent: readers in other languages take "0.00001", not all take "1E-5"."""
    return format(value, "f")


DecimalText = Annotated[Decimal, AfterValidator(_finite), PlainSerializer(_plain, return_type=str)]
"""A number exactly as it was written, a decimal string in JSON."""

Identifier = Annotated[str, Field(min_length=1, max_length=200)]
"""A name that is compared, never shown as prose."""

PatientRef = Annotated[str, Field(min_length=1, max_length=64)]
"""The only name of a patient outside `patients.v1` and `raw-messages.v1`; the Kafka key of every message about one."""

Instant = AwareDatetime
"""An aware instant; UTC when we write it."""


class Precision(StrEnum):
    """How exactly an instant was stated by the source. `day`: the instant is 12:00 site time of that day."""

    SECOND = "second"
    MINUTE = "minute"
    HOUR = "hour"
    DAY = "day"
    UNKNOWN = "unknown"


class Comparator(StrEnum):
    """A value with a comparator is a bound, not a number."""

    BELOW = "<"
    AT_MOST = "<="
    ABOVE = ">"
    AT_LEAST = ">="


class Message(BaseModel):
    """A frozen message; unknown fields of a newer writer are ignored. Errors never quote values: errors are logged."""

    model_config = ConfigDict(frozen=True, extra="ignore", ser_json_timedelta="float", hide_input_in_errors=True)

    def encode(self) -> bytes:
        """UTF-8 JSON as it stands in Kafka."""
        return self.model_dump_json().encode()
