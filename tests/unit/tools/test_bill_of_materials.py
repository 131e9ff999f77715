"""What is shipped, by name, version, hash and licence."""

import json
import re

import pytest

from tools.bill_of_materials import SERVICES, bill, main

COMPATIBLE = re.compile(
    r"MIT|BSD|Apache|ISC|PSF|Python Software Foundation|MPL-2\.0|Mozilla Public License 2\.0|Unlicense|Zlib|0BSD"
    r"|Repoze Public License"  # venusian: BSD with a clause on trademarks
    r"|LGPL",  # psycopg: used as a library, unchanged
    re.IGNORECASE,
)


@pytest.mark.parametrize("service", SERVICES)
def test_every_part_has_a_version_and_a_hash(service: str) -> None:
    parts = bill(service)["components"]
    assert parts
    assert [part["name"] for part in parts if not part["externalReferences"][0]["hashes"]] == []


@pytest.mark.parametrize("service", SERVICES)
def test_every_licence_is_known_and_compatible(service: str) -> None:
    said = {part["name"]: part["licenses"][0]["license"]["name"] for part in bill(service)["components"]}
    assert {name: licence for name, licence in said.items() if not COMPATIBLE.search(licence)} == {}


def test_the_command_prints_what_a_scanner_reads(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["detector"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["bomFormat"] == "CycloneDX"
    assert {"faust-streaming", "aiokafka"} <= {part["name"] for part in printed["components"]}
