"""The PostgreSQL fixture."""

import pytest
from sqlalchemy import create_engine, text

from tests.support import postgres


def test_the_database_is_empty_and_takes_tables(postgres_url: str) -> None:
    engine = create_engine(postgres_url)
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE draw (ferritin numeric)"))
        connection.execute(text("INSERT INTO draw VALUES (812)"))
        assert connection.execute(text("SELECT ferritin FROM draw")).scalar_one() == 812
    engine.dispose()


@pytest.mark.parametrize("_turn", [1, 2])
def test_each_test_has_a_database_of_its_own(postgres_url: str, _turn: int) -> None:
    engine = create_engine(postgres_url)
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE only_here (n int)"))
    engine.dispose()


def test_a_machine_without_a_server_is_told_how_to_get_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    monkeypatch.setattr(postgres, "BINARIES", "/nonexistent/*/bin")
    with pytest.raises(postgres.NoPostgres, match="apt-get install -y postgresql"):
        postgres.find_binaries()
