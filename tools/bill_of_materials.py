"""Writes a CycloneDX bill of materials of what one service ships: `python -m tools.bill_of_materials [detector]`.

Versions and hashes are those of requirements/<service>.txt; licences are what the installed packages say of themselves.
"""

import argparse
import json
import re
import sys
from collections.abc import Iterator
from importlib.metadata import PackageMetadata, PackageNotFoundError, metadata
from pathlib import Path
from typing import Any

REQUIREMENTS = Path(__file__).resolve().parents[1] / "requirements"
SERVICES = ("ingest", "detector", "notifier")
PIN = re.compile(r"^(?P<name>[A-Za-z0-9._-]+)==(?P<version>[^\s;\\]+)")
HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})")
LONGEST_LICENCE_NAME = 100


def bill(service: str) -> dict[str, Any]:
    """Return the bill of materials of a service as CycloneDX 1.5 has it."""
    text = (REQUIREMENTS / f"{service}.txt").read_text("utf-8")
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {"component": {"type": "application", "name": f"irae-alerting-{service}"}},
        "components": list(components(text)),
    }


def components(text: str) -> Iterator[dict[str, Any]]:
    """Yield one component per pin of a requirements file."""
    for block in re.split(r"^(?=[A-Za-z0-9])", text, flags=re.MULTILINE):
        if found := PIN.match(block):
            name, version = found["name"].lower(), found["version"]
            yield {
                "type": "library",
                "name": name,
                "version": version,
                "purl": f"pkg:pypi/{name}@{version}",
                "licenses": [{"license": {"name": licence(name)}}],
                "externalReferences": [
                    {
                        "type": "distribution",
                        "url": f"pkg:pypi/{name}@{version}",
                        "hashes": [{"alg": "SHA-256", "content": digest} for digest in HASH.findall(block)],
                    }
                ],
            }


def licence(name: str) -> str:
    """Return what a package says of its licence: the expression, else the classifiers, else the free text."""
    try:
        said = metadata(name)
    except PackageNotFoundError:
        return "unknown: not installed here"
    return _field(said, "License-Expression") or _classified(said) or _short(_field(said, "License")) or "unknown"


def _field(said: PackageMetadata, name: str) -> str:
    return said[name] if name in said else ""  # noqa: SIM401 - the protocol of metadata has no `get`


def _classified(said: PackageMetadata) -> str:
    classifiers = said.get_all("Classifier") or []
    names = [line.rpartition(" :: ")[2] for line in classifiers if line.startswith("License :: ")]
    return " AND ".join(name for name in names if name != "OSI Approved")


def _short(text: str) -> str:
    """Return a licence's name; some packages put its whole text there."""
    return text if len(text) <= LONGEST_LICENCE_NAME else text.strip().splitlines()[0]


def main(arguments: list[str] | None = None) -> int:
    """Command line: print the bill of one service."""
    parser = argparse.ArgumentParser(prog="python -m tools.bill_of_materials", description=__doc__)
    parser.add_argument("service", choices=SERVICES)
    json.dump(bill(parser.parse_args(arguments).service), sys.stdout, indent=2)
    sys.stdout.write("\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
