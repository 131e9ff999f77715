"""Passwords, sessions and the slowing down of guesses."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from services.notifier.rulebook.people import Account
from services.notifier.web.limiter import LONGEST_PAUSE, NAMES_KEPT, Limiter
from services.notifier.web.pages import accepted_languages
from services.notifier.web.passwords import hash_password, is_right
from services.notifier.web.session import LASTS, Signer
from services.notifier.web.sign_in import own_path

NOW = datetime(2026, 1, 22, tzinfo=UTC)
LI = Account("li", "Li", "zh", frozenset({"mdt"}), "$argon2id$one")
SIGNER = Signer(b"k" * 32)


def test_a_password_is_kept_as_a_hash_that_only_it_opens() -> None:
    kept = hash_password("correct horse battery")
    assert kept.startswith("$argon2id$")
    assert is_right(kept, "correct horse battery")
    assert not is_right(kept, "correct horse batterz")


def test_a_short_password_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 12"):
        hash_password("short")


@pytest.mark.parametrize("kept", ["", "$argon2id$", "plain"])
def test_a_broken_hash_lets_nobody_in(kept: str) -> None:
    assert not is_right(kept, "anything at all")


@pytest.mark.parametrize(
    ("after", "accounts", "key", "holds"),
    [
        pytest.param(LASTS - timedelta(microseconds=1), {"li": LI}, b"k" * 32, True, id="one tick before the end"),
        pytest.param(LASTS, {"li": LI}, b"k" * 32, False, id="exactly at the end"),
        pytest.param(timedelta(0), {}, b"k" * 32, False, id="the account is gone"),
        pytest.param(
            timedelta(0), {"li": replace(LI, password_hash="$argon2id$two")}, b"k" * 32, False, id="new password"
        ),
        pytest.param(timedelta(0), {"li": LI}, b"K" * 32, False, id="another key"),
    ],
)
def test_a_session_holds_for_a_shift(after: timedelta, accounts: dict[str, Account], key: bytes, holds: bool) -> None:
    cookie = SIGNER.cookie(LI, NOW)
    assert (Signer(key).read(cookie, accounts, NOW + after) is not None) is holds


@pytest.mark.parametrize("cookie", ["", ".", "a.b", "bnVsbA==.x", "W10=.x", "e30=.x", "eyJwIjpbXX0=.x", "é.é"])
def test_a_cookie_that_is_not_ours_is_nobody(cookie: str) -> None:
    assert SIGNER.read(cookie, {"li": LI}, NOW) is None


def test_a_form_token_belongs_to_its_cookie() -> None:
    assert SIGNER.is_form_token("one", SIGNER.form_token("one"))
    assert not SIGNER.is_form_token("two", SIGNER.form_token("one"))
    assert not SIGNER.is_form_token("", SIGNER.form_token(""))


def test_pauses_grow_and_end() -> None:
    limiter, pauses = Limiter(2), []
    for _ in range(12):
        limiter.failed("li", NOW)
        pauses.append(limiter.wait("li", NOW))
    assert pauses[:4] == [timedelta(0), timedelta(seconds=30), timedelta(seconds=60), timedelta(seconds=120)]
    assert pauses[-1] == LONGEST_PAUSE
    assert limiter.wait("li", NOW + LONGEST_PAUSE) == timedelta(0)


def test_a_success_forgives() -> None:
    limiter = Limiter(1)
    limiter.failed("li", NOW)
    limiter.succeeded("li")
    assert limiter.wait("li", NOW) == timedelta(0)


def test_an_hour_forgives() -> None:
    limiter = Limiter(1)
    limiter.failed("li", NOW)
    limiter.failed("li", NOW + timedelta(hours=2))
    assert limiter.wait("li", NOW + timedelta(hours=2)) == timedelta(seconds=30)


def test_endless_names_do_not_fill_the_memory() -> None:
    limiter = Limiter(1)
    for number in range(NAMES_KEPT + 10):
        limiter.failed(str(number), NOW)
    assert limiter.wait("0", NOW) == timedelta(0)
    assert limiter.wait(str(NAMES_KEPT + 9), NOW) > timedelta(0)


@pytest.mark.parametrize(
    ("path", "kept"),
    [("/patients/K7QF", "/patients/K7QF"), ("/?ward=a%20b&page=2", "/?ward=a%20b&page=2"), ("//x", "/"), ("x", "/")],
)
def test_people_are_sent_to_our_own_pages_only(path: str, kept: str) -> None:
    assert own_path(path) == kept


@pytest.mark.parametrize(
    ("header", "languages"),
    [
        ("zh-CN,zh;q=0.9,en;q=0.8", ["zh", "zh", "en"]),
        ("en;q=0,zh", ["zh"]),
        ("", [""]),
        ("en;q=nan,,;", ["", ""]),
    ],
)
def test_the_most_wanted_language_comes_first(header: str, languages: list[str]) -> None:
    assert sorted(accepted_languages(header)) == sorted(languages)
