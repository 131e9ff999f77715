"""One reader with our real tables and a small site, for the tests of the domain."""

from datetime import UTC, datetime
from functools import cache, partial
from zoneinfo import ZoneInfo

from services.common.identifiers import keyed_token, patient_ref
from services.ingest.domain.outcome import FrameOutcome, Published
from services.ingest.domain.profile import Naming, Profile, Profiles
from services.ingest.domain.reading import read_frame
from services.ingest.domain.tables import Tables
from services.ingest.domain.values import Result
from services.ingest.rulebook import load_tables

RECEIVED_AT = datetime(2026, 1, 20, 4, 0, tzinfo=UTC)
SITE_KEY = b"a key for tests"
NAMING = Naming(partial(patient_ref, SITE_KEY), partial(keyed_token, SITE_KEY))
SHANGHAI = ZoneInfo("Asia/Shanghai")
PROFILE = Profile("lab", "HOSP", SHANGHAI, authority_aliases=frozenset({"HOSP"}), codes={("L", "FER"): "FERRITIN"})
PROFILES = Profiles((PROFILE,))


@cache
def tables() -> Tables:
    """Return our tables, read once."""
    return load_tables()


def read(frame: bytes, *, profiles: Profiles = PROFILES, received_at: datetime = RECEIVED_AT) -> FrameOutcome:
    """Read one frame."""
    return read_frame(frame, tables=tables(), profiles=profiles, naming=NAMING, received_at=received_at)


def published(frame: bytes, *, received_at: datetime = RECEIVED_AT) -> Published:
    """Read one frame that must have something to say."""
    outcome = read(frame, received_at=received_at)
    assert isinstance(outcome, Published), outcome
    return outcome


def result_of(frame: bytes) -> Result:
    """Read one frame that must hold exactly one result."""
    (report,) = published(frame).reports
    (result,) = report.results
    return result
