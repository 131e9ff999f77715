"""Two implementations of one specification: on generated patients they must agree in all that stands and is due."""

import json
import random
from datetime import datetime, timedelta
from itertools import groupby
from pathlib import Path

import pytest

from services.detector.domain.rules import Rulebook
from tests.oracle.cases import SITE, Event, Story, random_story
from tests.oracle.driver import Patient, rulebook
from tests.oracle.oracle import decide

PATIENTS = 60


@pytest.fixture(scope="module")
def rules(tmp_path_factory: pytest.TempPathFactory) -> Rulebook:
    return rulebook(Path(tmp_path_factory.mktemp("site")))


def _received(event: Event) -> datetime:
    return datetime.fromisoformat(event["received_at"])


def _complaint(seed: int, now: datetime, story: Story, ours: object, theirs: object) -> str:
    facts = "\n".join(
        f"{e['received_at']} {e['kind']} "
        + " ".join(
            f"{r['analyte']}={r['comparator'] or ''}{r['value']}{r['status']}@{r['collected_at']}"
            f"/{r['collected_precision']}{r['remarks']}{r['specimen'] or ''}"
            for r in e.get("results", [])
        )
        + json.dumps({k: v for k, v in e.items() if k in ("status", "grade", "first_dose_at", "graded_at")})
        for e in sorted(story.events, key=_received)
        if _received(e) <= now
    )
    return f"seed {seed} at {now}:\n detector {ours}\n oracle   {theirs}\n{facts}"


@pytest.mark.parametrize("seed", range(PATIENTS))
def test_detector_and_oracle_agree_after_every_message(seed: int, rules: Rulebook) -> None:
    story, patient = random_story(seed), Patient(rules)
    for now, arriving in groupby(sorted(story.events, key=_received), key=_received):
        patient.pass_time(now)
        patient.take(list(arriving), now)
        _compare(seed, now, story, patient)
    later = now + timedelta(days=10)
    patient.pass_time(later)
    _compare(seed, later, story, patient)


def _compare(seed: int, now: datetime, story: Story, patient: Patient) -> None:
    oracle = decide(story.events, now, SITE)
    theirs = {rule: (level, urgency) for rule, (level, urgency, _) in oracle.standing.items()}
    assert patient.standing() == theirs, _complaint(seed, now, story, patient.standing(), theirs)
    assert patient.plan() == oracle.plan, _complaint(seed, now, story, patient.plan(), oracle.plan)


@pytest.mark.parametrize("seed", range(1_000, 1_000 + PATIENTS))
def test_in_any_order_of_arrival_the_same_stands_in_the_end(seed: int, rules: Rulebook) -> None:
    story = random_story(seed)
    end = max(map(_received, story.events)) + timedelta(days=1)
    shuffled = story.events + random.Random(seed).choices(story.events, k=3)
    random.Random(seed).shuffle(shuffled)
    patient = Patient(rules)
    for event in shuffled:
        patient.take([event], end)
    patient.pass_time(end)
    _compare(seed, end, story, patient)
