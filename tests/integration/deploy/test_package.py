"""The wheel holds every data file the services read: a flat layout otherwise hides a forgotten one."""

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
SHIPPED = ("services", "schemas")
NOT_DATA = {".py", ".pyc"}


@pytest.mark.timeout(300)
def test_every_rule_template_and_schema_file_is_in_the_wheel(tmp_path: Path) -> None:
    source = tmp_path / "source"
    for name in (*SHIPPED, "pyproject.toml", "README.md", "LICENSE", "NOTICE"):
        copy(ROOT / name, source / name)
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(tmp_path), str(source)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        packed = set(archive.namelist())
    wanted = {
        path.relative_to(source).as_posix()
        for name in SHIPPED
        for path in (source / name).rglob("*")
        if path.is_file() and path.suffix not in NOT_DATA
    }
    assert wanted
    assert sorted(wanted - packed) == []


def copy(what: Path, where: Path) -> None:
    where.parent.mkdir(parents=True, exist_ok=True)
    if what.is_dir():
        shutil.copytree(what, where, ignore=shutil.ignore_patterns("__pycache__"))
    else:
        shutil.copy(what, where)
