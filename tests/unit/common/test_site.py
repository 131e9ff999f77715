"""The site's zone and key: defaults that work on one machine, clear words when something is wrong."""

import stat
import threading
from pathlib import Path

import pytest

from services.common.errors import Misconfigured
from services.common.site import site_key, site_zone


def test_without_a_file_the_zone_is_shanghai(tmp_path: Path) -> None:
    assert str(site_zone(tmp_path)) == "Asia/Shanghai"


def test_the_zone_of_the_file_counts(tmp_path: Path) -> None:
    (tmp_path / "site.toml").write_text('zone = "Europe/Berlin"\n')
    assert str(site_zone(tmp_path)) == "Europe/Berlin"


@pytest.mark.parametrize("text", ['zone = "Mars/Olympus"', "zone = 8", "zone = ["], ids=["unknown", "number", "broken"])
def test_a_bad_zone_is_a_sentence_that_names_the_file(tmp_path: Path, text: str) -> None:
    (tmp_path / "site.toml").write_text(text)
    with pytest.raises(Misconfigured, match=r"site\.toml"):
        site_zone(tmp_path)


def test_the_first_local_run_makes_a_key_that_only_the_owner_reads(tmp_path: Path) -> None:
    path = tmp_path / "var" / "site.key"
    key = site_key(path, production=False)
    assert len(key) >= 32
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert site_key(path, production=True) == key


def test_services_that_start_together_agree_on_one_key(tmp_path: Path) -> None:
    path, keys, gate = tmp_path / "site.key", set[bytes](), threading.Barrier(8)

    def start() -> None:
        gate.wait()
        keys.add(site_key(path, production=False))

    threads = [threading.Thread(target=start) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(keys) == 1


def test_production_never_invents_a_key(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="must be provided"):
        site_key(tmp_path / "site.key", production=True)


def test_production_refuses_a_key_that_others_can_read(tmp_path: Path) -> None:
    path = tmp_path / "site.key"
    path.write_text("k" * 64)
    path.chmod(0o644)
    with pytest.raises(Misconfigured, match="chmod 600"):
        site_key(path, production=True)


def test_a_short_key_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "site.key"
    path.write_text("short")
    with pytest.raises(Misconfigured, match="at least 32"):
        site_key(path, production=False)
