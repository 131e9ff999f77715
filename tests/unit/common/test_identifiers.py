"""Names made from natural keys: the same everywhere, different for different things, and not to be guessed."""

import re

from hypothesis import given
from hypothesis import strategies as st

from services.common.identifiers import CROCKFORD, keyed_token, patient_ref, stable_id

KEY = b"k" * 64
texts = st.text(min_size=0, max_size=20)


def test_a_ref_is_thirteen_crockford_characters_grouped_to_be_read_aloud() -> None:
    ref = patient_ref(KEY, "HOSP", "000123")
    assert re.fullmatch(rf"[{CROCKFORD}]{{4}}-[{CROCKFORD}]{{4}}-[{CROCKFORD}]{{5}}", ref)


def test_a_ref_never_changes_between_versions_of_the_software() -> None:
    assert patient_ref(KEY, "HOSP", "000123") == "HXW7-E1K8-TGENT"


def test_the_same_number_under_another_authority_is_another_patient() -> None:
    assert patient_ref(KEY, "HOSP", "1") != patient_ref(KEY, "OTHER", "1")


def test_another_site_key_gives_another_ref() -> None:
    assert patient_ref(KEY, "HOSP", "1") != patient_ref(b"x" * 64, "HOSP", "1")


@given(texts, texts, texts, texts)
def test_moving_a_character_from_one_part_to_the_next_gives_another_ref(a: str, b: str, c: str, d: str) -> None:
    same = (a, b) == (c, d)
    assert (patient_ref(KEY, a, b) == patient_ref(KEY, c, d)) == same
    assert (stable_id(a, b) == stable_id(c, d)) == same


def test_a_token_of_a_birth_date_is_no_token_of_a_sex() -> None:
    assert keyed_token(KEY, "birth-date", "1960-02-29") != keyed_token(KEY, "sex", "1960-02-29")
