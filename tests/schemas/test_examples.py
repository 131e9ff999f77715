"""Every example is read by its model, every counter-example is refused, and what is written is read again."""

import json
from pathlib import Path

import pytest
from pydantic import ValidationError

from schemas.patient_v1 import Patient
from schemas.registry import EXAMPLES, MODELS, stale

PASSING = sorted(EXAMPLES.glob("*/*.pass.json"))
FAILING = sorted(EXAMPLES.glob("*/*.fail.json"))


def _name(path: Path) -> str:
    return f"{path.parent.name}/{path.name.split('.')[0]}"


@pytest.mark.parametrize("path", PASSING, ids=_name)
def test_an_example_is_read_and_carries_no_field_that_the_model_lacks(path: Path) -> None:
    body = path.read_bytes()
    read = MODELS[path.parent.name].validate_json(body, extra="forbid")
    written = json.loads(MODELS[path.parent.name].dump_json(read))
    assert json.loads(body).keys() <= written.keys()


@pytest.mark.parametrize("path", PASSING, ids=_name)
def test_what_is_written_is_read_again_as_the_same_message(path: Path) -> None:
    adapter = MODELS[path.parent.name]
    read = adapter.validate_json(path.read_bytes())
    assert adapter.validate_json(adapter.dump_json(read)) == read


@pytest.mark.parametrize("path", PASSING, ids=_name)
def test_a_reader_ignores_a_field_of_a_newer_writer(path: Path) -> None:
    adapter = MODELS[path.parent.name]
    newer = {**json.loads(path.read_bytes()), "a_field_of_the_future": 1}
    assert adapter.validate_json(json.dumps(newer)) == adapter.validate_json(path.read_bytes())


@pytest.mark.parametrize("path", FAILING, ids=_name)
def test_a_counter_example_is_refused(path: Path) -> None:
    with pytest.raises(ValidationError):
        MODELS[path.parent.name].validate_json(path.read_bytes())


@pytest.mark.parametrize("model", sorted(MODELS))
def test_every_model_has_an_example_and_a_counter_example(model: str) -> None:
    assert list((EXAMPLES / model).glob("*.pass.json"))
    assert list((EXAMPLES / model).glob("*.fail.json"))


def test_every_folder_of_examples_belongs_to_a_model() -> None:
    assert {path.name for path in EXAMPLES.iterdir()} == set(MODELS)


def test_the_checked_in_json_schemas_are_what_the_models_say() -> None:
    assert stale() == []


def test_an_error_about_a_message_never_quotes_its_values() -> None:
    with pytest.raises(ValidationError) as caught:
        Patient.model_validate_json('{"patient_ref": ["Zorblax"], "name": "Zorblax"}')
    assert "Zorblax" not in str(caught.value)
