import logging
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from services.notifier.__main__ import main
from tests.support.mailbox import Mailbox
from tests.support.processes import free_port
from tests.support.site import SitePlan, write_site


@pytest.fixture
def mailbox() -> Iterator[Mailbox]:
    with Mailbox() as box:
        yield box


@pytest.fixture(autouse=True)
def logs() -> Iterator[None]:
    """Running the service points the process's logs at its output: put them back."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()


@pytest.fixture(autouse=True)
def site(tmp_path: Path, mailbox: Mailbox, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = write_site(tmp_path / "site", SitePlan(smtp_port=mailbox.port))
    for name, value in {
        "SITE_DIR": folder,
        "SITE_KEY_FILE": tmp_path / "site.key",
        "NOTIFIER_DATABASE_URL": f"sqlite:///{tmp_path}/notifier.db",
        "KAFKA_BOOTSTRAP_SERVERS": f"127.0.0.1:{free_port()}",
        "NOTIFIER_METRICS_PORT": "0",
        "NOTIFIER_HTTP_PORT": "0",
    }.items():
        monkeypatch.setenv(name, str(value))
    return folder


def test_who_says_who_would_be_told_at_night_and_why(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["who", "--urgency", "P1", "--organ", "heart", "--at", "2026-01-04T03:00+08:00"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "2026-01-04 03:00 CST  okafor  page by pager  (on duty for cardiology)"


def test_who_names_the_organs_it_knows(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["who", "--urgency", "P1", "--organ", "spleen"]) == 2
    assert "known: blood, coagulation" in capsys.readouterr().err


def test_a_test_message_says_that_it_is_one(mailbox: Mailbox, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["send-test", "mail", "--to", "ops@hospital.example"]) == 0
    (mail,) = mailbox.mails
    assert mail.recipients == ("ops@hospital.example",)
    assert mail.subject.startswith("TEST")
    assert "mail: sent (250)" in capsys.readouterr().out


def test_a_test_message_over_an_unknown_channel_is_a_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["send-test", "fax"]) == 2
    assert "channel fax is not in channels.toml; known: mail, pager" in capsys.readouterr().err


def test_check_says_everything_that_is_wrong(site: Path, mailbox: Mailbox, capsys: pytest.CaptureFixture[str]) -> None:
    mailbox.down()
    assert main(["--check"]) == 2
    said = capsys.readouterr().err
    assert "does not answer" in said
    assert "channels.toml: mail: 127.0.0.1" in said
    (site / "rota.csv").write_text("nonsense\n")
    assert main(["--check"]) == 2
    assert "rota.csv: the first line must be role,person" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [[], ["who", "--urgency", "P1", "--organ", "heart"], ["send-test", "mail"]])
def test_without_a_site_there_is_one_clear_sentence(
    arguments: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SITE_DIR", str(tmp_path / "nowhere"))
    assert main(arguments) == 2
    assert "the site's folder does not exist; set SITE_DIR" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "value"),
    [("NOTIFIER_HTTP_PORT", "http"), ("NOTIFIER_DATABASE_URL", "mysql://x"), ("NOTIFIER_PUBLIC_URL", "irae.example")],
)
def test_a_wrong_variable_is_named(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(name, value)
    assert main([]) == 2
    assert f"notifier: {name}: " in capsys.readouterr().err


def test_a_taken_monitoring_port_is_a_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        monkeypatch.setenv("NOTIFIER_METRICS_PORT", str(taken.getsockname()[1]))
        assert main([]) == 2
    assert "cannot listen on 127.0.0.1" in capsys.readouterr().err


def test_in_production_a_missing_site_key_is_a_fault(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SITE_MODE", "production")
    assert main([]) == 2
    assert "in production the key must be provided" in capsys.readouterr().err
