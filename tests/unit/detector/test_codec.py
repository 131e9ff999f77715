import zlib

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
