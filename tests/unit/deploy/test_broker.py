"""Where a broker comes from."""

import subprocess
import sys
from pathlib import Path

import pytest

from deploy import broker
from deploy.broker import LAUNCHER, NoBroker, obtain_broker


def test_a_broker_that_is_named_is_taken_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", "kafka.example:9092")
    with obtain_broker() as found:
        assert (found.bootstrap, found.kind) == ("kafka.example:9092", "given")


def test_a_broker_that_is_named_is_not_ours_to_stop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", "kafka.example:9092")
    with obtain_broker() as found, pytest.raises(NoBroker, match="not ours"):
        found.freeze()


def test_a_missing_engine_is_a_fault_where_containers_are_required(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KAFKA_BOOTSTRAP_SERVERS", raising=False)
    monkeypatch.setenv("REQUIRE_CONTAINERS", "1")
    monkeypatch.setattr(broker, "engine_answers", lambda: False)
    with pytest.raises(NoBroker, match="REQUIRE_CONTAINERS"), obtain_broker():
        pass


def test_an_address_where_nothing_listens_is_no_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:9")
    assert not broker.engine_answers()


def launch(*arguments: str, path: str = "/nonexistent") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(LAUNCHER), *arguments], env={"PATH": path}, capture_output=True, text=True, check=False
    )


def test_a_machine_without_java_gets_one_sentence_with_the_command(tmp_path: Path) -> None:
    done = launch("start", "--dir", str(tmp_path / "kafka"))
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "apt-get install -y openjdk-17-jre-headless" in done.stderr
    assert not (tmp_path / "kafka").exists()


def test_an_old_java_is_refused_by_its_version(tmp_path: Path) -> None:
    java = tmp_path / "java"
    java.write_text("#!/bin/sh\necho 'openjdk version \"11.0.2\"' >&2\n")
    java.chmod(0o755)
    done = launch("start", "--dir", str(tmp_path / "kafka"), path=f"{tmp_path}:/bin")
    assert done.returncode == 1
    assert "is 11" in done.stderr


def test_a_directory_the_launcher_did_not_make_is_never_wiped(tmp_path: Path) -> None:
    (tmp_path / "letters").write_text("kept")
    assert launch("wipe", "--dir", str(tmp_path)).returncode == 0
    assert (tmp_path / "letters").read_text() == "kept"


def test_a_pid_that_now_belongs_to_another_program_is_not_ours(tmp_path: Path) -> None:
    (tmp_path / "cluster.json").write_text('{"id": "x", "ports": [[26900, 27000]], "settings": {}}')
    (tmp_path / "node-1").mkdir()
    with subprocess.Popen(["/bin/sleep", "60"]) as stranger:
        (tmp_path / "node-1" / "pid").write_text(str(stranger.pid))
        assert launch("stop", "--dir", str(tmp_path)).returncode == 0
        assert stranger.poll() is None
        stranger.kill()


def test_a_machine_that_can_have_no_broker_is_told_in_one_sentence_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("KAFKA_BOOTSTRAP_SERVERS", raising=False)
    monkeypatch.delenv("REQUIRE_CONTAINERS", raising=False)
    monkeypatch.setenv("JAVA_HOME", "/nonexistent")
    monkeypatch.setattr(broker, "engine_answers", lambda: False)
    with pytest.raises(NoBroker, match=r"^Java is missing: install it with `apt-get install"), obtain_broker():
        pass
