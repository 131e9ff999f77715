"""One frame in, one outcome out: the way of a message through its header, its type and its content.

Pure: the time of receipt is an argument. Law: every message ends in exactly one outcome; nothing raises for any bytes.
"""

from datetime import datetime

from services.ingest.domain.outcome import FrameOutcome, Refused
from services.ingest.domain.profile import Naming, Profiles
from services.ingest.domain.tables import Tables


def read_frame(
    frame: bytes, *, tables: Tables, profiles: Profiles, naming: Naming, received_at: datetime
) -> FrameOutcome:
    """Read what stood between 0B and 1C 0D. `received_at` is aware UTC."""
    raise NotImplementedError


def refuse_damaged(head: bytes, reason: str, *, profiles: Profiles) -> Refused:
    """Return the refusal of a frame that framing found damaged, with the header if its MSH can still be read."""
    raise NotImplementedError
