"""Outcome → the HL7 answer. Law: no patient data in an answer; MSA-2 is the sender's MSH-10 byte for byte."""

from datetime import datetime

from services.ingest.domain.outcome import FrameOutcome


def acknowledge(outcome: FrameOutcome, *, now: datetime) -> bytes | None:
    """Return the answer without framing (see `framing.wrap`), or None: say nothing.

    None for acknowledgements, for what the sender asked not to hear (enhanced mode), and for refusals without a
    readable header; `must_close` tells the last case apart.
    """
    raise NotImplementedError


def must_close(outcome: FrameOutcome) -> bool:
    """Tell whether the connection is to be closed because nothing useful can be answered."""
    raise NotImplementedError
