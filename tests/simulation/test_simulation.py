"""A short run of the ward on every change; `make simulate` runs longer ones."""

from pathlib import Path

import pytest

from services.detector.rulebook import load
from tests.simulation.__main__ import SITE, run


@pytest.mark.parametrize("seed", [101, 102])
def test_the_promises_hold_on_a_simulated_ward(seed: int) -> None:
    assert run(seed, days=60, patients=5, rules=load(Path("no-site"), SITE))
