"""Which model stands for which schema file: `python -m schemas.registry [--check]` writes `schemas/json/`."""

import argparse
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from pydantic import TypeAdapter

from schemas.alert_v1 import Alert
from schemas.clinical_event_v1 import EVENT
from schemas.dead_letter_v1 import DeadLetter
from schemas.delivery_v1 import Delivery
from schemas.patient_v1 import Patient
from schemas.raw_message_v1 import RawMessage
from schemas.retest_v1 import RetestPlan
from schemas.screening_v1 import Screening

HERE = Path(__file__).parent
EXAMPLES = HERE / "examples"
JSON = HERE / "json"

MODELS: Mapping[str, TypeAdapter[Any]] = MappingProxyType(
    {
        "alert_v1": TypeAdapter(Alert),
        "clinical_event_v1": EVENT,
        "dead_letter_v1": TypeAdapter(DeadLetter),
        "delivery_v1": TypeAdapter(Delivery),
        "patient_v1": TypeAdapter(Patient),
        "raw_message_v1": TypeAdapter(RawMessage),
        "retest_v1": TypeAdapter(RetestPlan),
        "screening_v1": TypeAdapter(Screening),
    }
)


def rendered(name: str) -> str:
    """Return the JSON Schema of one model as it is checked in: what a reader must be able to take."""
    schema = MODELS[name].json_schema(mode="serialization")
    return json.dumps({"$id": name, **schema}, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def stale() -> list[str]:
    """Return the names whose checked-in JSON Schema is not what the model says."""
    return [
        name
        for name in MODELS
        if not (path := JSON / f"{name}.json").exists() or path.read_text("utf-8") != rendered(name)
    ]


def main(arguments: list[str] | None = None) -> int:
    """Command line: write, or with `--check` only say what is stale (exit 1)."""
    parser = argparse.ArgumentParser(prog="python -m schemas.registry", description=__doc__)
    parser.add_argument("--check", action="store_true")
    if not parser.parse_args(arguments).check:
        JSON.mkdir(exist_ok=True)
        for name in MODELS:
            (JSON / f"{name}.json").write_text(rendered(name), "utf-8")
        return 0
    for name in (names := stale()):
        sys.stderr.write(f"schemas/json/{name}.json is stale: run `make schemas`\n")
    return 1 if names else 0


if __name__ == "__main__":
    sys.exit(main())
