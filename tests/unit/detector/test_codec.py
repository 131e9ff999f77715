import zlib
from dataclasses import replace

import msgspec
import pytest

from services.detector import codec
from tests.unit.detector.minds import a_head


def test_a_head_comes_back_as_it_was() -> None:
    assert codec.decode(codec.encode(a_head())) == a_head()


@pytest.mark.parametrize("body", [pytest.param(b"", id="nothing"), pytest.param(b"\xfe123", id="a newer version")])
def test_a_head_of_another_version_is_refused_rather_than_misread(body: bytes) -> None:
    with pytest.raises(codec.UnknownVersion):
        codec.decode(body)


def test_a_damaged_head_is_never_read_as_an_empty_one() -> None:
    whole = codec.encode(a_head())
    with pytest.raises((zlib.error, msgspec.DecodeError)):
        codec.decode(whole[:-3])


def test_recent_heads_say_what_the_bytes_mean_and_not_what_was_written_last() -> None:
    recent = codec.RecentHeads(size=2)
    newer = replace(a_head(), rules="newer")
    written = recent.encode("PAT1", newer)
    assert recent.decode("PAT1", written) == newer
    assert recent.decode("PAT1", codec.encode(a_head())) == a_head()
    assert recent.decode("PAT1", written) == newer


def test_only_so_many_heads_are_remembered() -> None:
    recent = codec.RecentHeads(size=2)
    for n in range(5):
        recent.encode(f"PAT{n}", a_head())
    assert len(recent._heads) == 2
