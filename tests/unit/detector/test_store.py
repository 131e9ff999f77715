from collections.abc import Iterator
from datetime import timedelta

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine, text

from services.common.errors import Misconfigured
from services.detector.store import facts, heads, keys
from services.detector.store.heads import PatientRow
from services.detector.store.opening import MIGRATIONS, open_store, store_id
from services.detector.store.tables import META
from tests.unit.detector.events import NOON


@pytest.fixture
def engine(store_url: str) -> Iterator[Engine]:
    engine = open_store(store_url)
    yield engine
    engine.dispose()


def row(ref: str, partition: int = 0, **changed: object) -> PatientRow:
    return PatientRow(ref, partition, None, None, b"", b"head")._replace(**changed)  # type: ignore[arg-type]


def test_the_migrations_make_exactly_the_tables_that_the_code_knows(engine: Engine) -> None:
    with engine.connect() as db:
        assert compare_metadata(MigrationContext.configure(db), META) == []


def test_opening_a_store_again_changes_nothing(engine: Engine, store_url: str) -> None:
    name = store_id(engine)
    MIGRATIONS.apply(engine)
    again = open_store(store_url)
    assert store_id(again) == name
    again.dispose()


def test_a_store_of_newer_software_is_refused(engine: Engine) -> None:
    with engine.begin() as db:
        db.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(Misconfigured, match="9999"):
        MIGRATIONS.apply(engine)


def test_facts_come_back_byte_for_byte_in_the_order_they_were_taken(engine: Engine) -> None:
    bodies = [b"\x00\xff first", b"second" * 5000, b""]
    with engine.begin() as db:
        facts.add(db, [facts.Fact("PAT1", f"e{n}", NOON, body) for n, body in enumerate(bodies)])
        facts.add(db, [facts.Fact("PAT2", "e0", NOON, b"other")])
        assert facts.history(db, "PAT1") == bodies
        assert facts.known(db, {("PAT1", "e1"), ("PAT1", "e9"), ("PAT2", "e1")}) == {("PAT1", "e1")}
        assert facts.known(db, set()) == set()


def test_only_facts_that_are_old_enough_go(engine: Engine) -> None:
    with engine.begin() as db:
        facts.add(db, [facts.Fact("PAT1", f"e{day}", NOON + timedelta(days=day), b"x") for day in range(4)])
        assert facts.oldest(db, "PAT1") == NOON
        assert facts.forget(db, "PAT1", NOON + timedelta(days=1)) == 2
        assert facts.oldest(db, "PAT1") == NOON + timedelta(days=2)
        assert facts.oldest(db, "PAT2") is None


def test_who_is_due_comes_longest_waiting_first_and_only_of_the_own_partitions(engine: Engine) -> None:
    later = NOON + timedelta(hours=1)
    with engine.begin() as db:
        heads.save(db, [row("A", wake_at=NOON), row("B", wake_at=NOON - timedelta(days=1)), row("C", 1, wake_at=NOON)])
        heads.save(db, [row("D", wake_at=later), row("E")])
        assert [found.patient_ref for found in heads.due(db, [0], NOON, 10)] == ["B", "A"]
        assert [found.patient_ref for found in heads.due(db, [0], NOON, 1)] == ["B"]
        assert sorted(heads.partitions_due(db, [0, 1, 2], NOON)) == [0, 1]
        assert heads.late(db, [0], NOON) == (2, NOON - timedelta(days=1))
        assert heads.late(db, [7], NOON) == (0, None)


def test_saving_a_patient_again_replaces_the_row(engine: Engine) -> None:
    with engine.begin() as db:
        heads.save(db, [row("A", wake_at=NOON, purge_at=NOON)])
        heads.save(db, [row("A", 0, head=b"newer", recent_keys=b"12345678")])
        assert heads.load(db, ["A", "B"]) == {"A": row("A", head=b"newer", recent_keys=b"12345678")}
        assert heads.count(db) == 1


def test_a_result_is_known_whether_its_key_is_recent_or_sealed(engine: Engine) -> None:
    recent, panels = b"", 3 * keys.SEALED // 20
    with engine.begin() as db:
        for n in range(panels):
            recent, full = keys.add(recent, range(n * 20, n * 20 + 20))
            if full is not None:
                keys.seal(db, [keys.Segment("PAT1", full)])
        sealed = keys.sealed(db, ["PAT1", "PAT2"])
    assert set(sealed) == {"PAT1"}
    assert keys.known([0, 607, panels * 20 - 1, 2**63], recent, sealed["PAT1"]) == {0, 607, panels * 20 - 1}


a_key = st.integers(0, 2**64 - 1)


@given(st.lists(st.sets(a_key, max_size=80), max_size=40), st.sets(a_key))
def test_keys_know_exactly_what_was_added(batches: list[set[int]], asked: set[int]) -> None:
    recent, sealed = b"", []
    for batch in batches:
        recent, full = keys.add(recent, batch)
        sealed += [full] if full is not None else []
    added: set[int] = set().union(*batches)
    assert keys.known(asked | added, recent, sealed) == added
    assert len(recent) < keys.SEALED * keys.KEY_BYTES
