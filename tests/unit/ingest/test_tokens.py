import os
from pathlib import Path

import pytest

from services.common.errors import Misconfigured
from services.ingest.adapters.tokens import Grant, TokenFile, digest, new_token, read_grants

HASH = "a" * 64
STANZA = f'[[token]]\nsha256 = "{HASH}"\nsource = "office"\nauthority = "HOSP"\nroles = ["coordinator"]\n'


def token_file(tmp_path: Path, content: str) -> Path:
    path = tmp_path / "tokens.toml"
    path.write_text(content, "utf-8")
    return path


def test_a_new_token_is_granted_what_its_stanza_says_and_stands_nowhere_in_it(tmp_path: Path) -> None:
    token, stanza = new_token("trial-office", "HOSP", ["coordinator", "audit"])
    tokens = TokenFile(token_file(tmp_path, stanza))
    tokens.load()

    assert tokens.grant(token) == Grant("trial-office", "HOSP", frozenset({"coordinator", "audit"}))
    assert token not in stanza
    assert tokens.grant(token + "x") is None
    assert tokens.grant("") is None


def test_two_tokens_are_never_the_same() -> None:
    assert new_token("a", "b", ["ops"])[0] != new_token("a", "b", ["ops"])[0]


def test_a_token_is_withdrawn_by_deleting_its_stanza_without_a_restart(tmp_path: Path) -> None:
    token, stanza = new_token("office", "HOSP", ["coordinator"])
    path = token_file(tmp_path, stanza)
    tokens = TokenFile(path)
    tokens.load()
    assert tokens.grant(token)

    path.write_text("", "utf-8")
    os.utime(path, ns=(1, 1))

    assert tokens.grant(token) is None


def test_a_broken_edit_of_the_file_leaves_the_former_tokens(tmp_path: Path) -> None:
    token, stanza = new_token("office", "HOSP", ["coordinator"])
    path = token_file(tmp_path, stanza)
    tokens = TokenFile(path)
    tokens.load()

    path.write_text("[[token", "utf-8")
    os.utime(path, ns=(1, 1))

    assert tokens.grant(token)


def test_a_missing_file_grants_nothing(tmp_path: Path) -> None:
    tokens = TokenFile(tmp_path / "none.toml")
    tokens.load()

    assert tokens.grant("anything") is None


@pytest.mark.parametrize(
    ("content", "said"),
    [
        pytest.param("[[token", "tokens.toml", id="not TOML"),
        pytest.param("tokn = 1", "unknown key tokn", id="an unknown key at the top"),
        pytest.param(STANZA + 'scope = "x"', "unknown key scope", id="an unknown key in a token"),
        pytest.param(STANZA.replace("source", "#source"), "source is missing", id="a missing key"),
        pytest.param(
            STANZA.replace(HASH, "irae_secret"), "never write the token itself", id="a token instead of a hash"
        ),
        pytest.param(STANZA.replace("coordinator", "boss"), "not boss", id="a role that does not exist"),
        pytest.param(STANZA.replace('["coordinator"]', "[]"), "not none", id="no role"),
        pytest.param(STANZA.replace('"office"', '" "'), "source must be a name", id="a blank source"),
        pytest.param(STANZA + STANZA, "token 2: the same hash", id="the same token twice"),
    ],
)
def test_a_file_that_is_not_as_documented_is_refused_with_a_sentence(tmp_path: Path, content: str, said: str) -> None:
    with pytest.raises(Misconfigured, match="tokens") as refusal:
        read_grants(token_file(tmp_path, content))

    assert said in str(refusal.value)


def test_the_example_of_the_site_is_valid_and_holds_a_hash_only() -> None:
    grants = read_grants(Path("deploy/site/tokens.toml"))

    assert [len(sha256) for sha256 in grants] == [64]
    assert digest("") not in grants


@pytest.mark.parametrize("source", ['a"b', "a\\b", "a\nb"])
def test_a_source_that_would_break_the_stanza_is_refused(source: str) -> None:
    with pytest.raises(Misconfigured):
        new_token(source, "HOSP", ["coordinator"])
