"""What requirements/ promises: hashes, one version everywhere, no address of a package index."""

import ast
import re
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
FILES = sorted((ROOT / "requirements").glob("*.txt"))
DISTRIBUTIONS = packages_distributions()
PIN = re.compile(r"^([A-Za-z0-9._-]+)==(\S+)", re.MULTILINE)


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def pins(path: Path) -> dict[str, str]:
    return {normal(name): version for name, version in PIN.findall(path.read_text("utf-8"))}


def wanted(requirements: list[str]) -> set[str]:
    return {normal(found[0]) for line in requirements if (found := re.match(r"[A-Za-z0-9._-]+", line))}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_no_file_names_a_package_index(path: Path) -> None:
    assert not re.search(r"://|--(extra-)?index-url|--find-links|--trusted-host", path.read_text("utf-8"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_every_pin_has_a_hash(path: Path) -> None:
    blocks = re.split(r"^(?=[A-Za-z0-9])", path.read_text("utf-8"), flags=re.MULTILINE)[1:]
    assert [block.split()[0] for block in blocks if "--hash=sha256:" not in block] == []


@pytest.mark.parametrize("extra", ["base", "ingest", "detector", "notifier", "dev"])
def test_every_dependency_of_the_project_is_pinned_where_it_is_needed(extra: str) -> None:
    needed = wanted(PROJECT["dependencies"] + PROJECT["optional-dependencies"].get(extra, []))
    assert needed - pins(ROOT / "requirements" / f"{extra}.txt").keys() == set()


def test_what_is_shipped_is_what_is_tested() -> None:
    tested = pins(ROOT / "requirements" / "dev.txt")
    different = {
        (path.name, name) for path in FILES for name, version in pins(path).items() if tested.get(name) != version
    }
    assert different == set()


def test_faust_and_what_it_reaches_into_move_only_together() -> None:
    assert {"faust-streaming==0.15.3", "mode-streaming==0.7.1", "aiokafka==0.14.0"} <= set(
        PROJECT["optional-dependencies"]["detector"]
    )


STORES = {"database.py", "inbox.py", "migrations.py", "outbox.py"}  # of services/common; ingest has no store


def used_by(service: str) -> set[str]:
    """Distributions that a service and what it shares import, standard library and our own left out."""
    common = [
        path for path in (ROOT / "services/common").glob("*.py") if service != "ingest" or path.name not in STORES
    ]
    return imports([*(ROOT / "services" / service).rglob("*.py"), *common, *(ROOT / "schemas").glob("*.py")])


def imports(files: list[Path]) -> set[str]:
    names: set[str] = set()
    for path in files:
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            match node:
                case ast.Import():
                    names |= {alias.name for alias in node.names}
                case ast.ImportFrom(level=0, module=str(module)):
                    names.add(module)
    tops = {name.partition(".")[0] for name in names} - set(sys.stdlib_module_names) - {"services", "schemas"}
    return {normal(DISTRIBUTIONS[top][0]) for top in tops}


@pytest.mark.parametrize("service", ["ingest", "detector", "notifier"])
def test_a_service_declares_what_it_imports(service: str) -> None:
    assert used_by(service) - pins(ROOT / "requirements" / f"{service}.txt").keys() == set()


NOT_IMPORTED = {
    "crc32c",  # kafka-python takes it where it is there
    "mode-streaming",  # Faust's lower half, pinned with it
    "psycopg",  # SQLAlchemy's driver, named by the database's address
    "python-multipart",  # Starlette reads forms with it
    "tzdata",  # zones for machines that have none
}


@pytest.mark.parametrize("service", ["ingest", "detector", "notifier"])
def test_a_service_imports_what_it_declares(service: str) -> None:
    assert wanted(PROJECT["optional-dependencies"][service]) - used_by(service) - NOT_IMPORTED == set()
