"""A figure carries its conditions and its baseline; measuring one leaves the others on the page."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from benchmarks import report
from benchmarks.report import figure, quantile, write

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report, "BUILD", tmp_path / "bench")
    monkeypatch.setattr(report, "PAGE", tmp_path / "docs" / "benchmarks.md")


@pytest.mark.parametrize(
    ("share", "value"),
    [
        pytest.param(0.5, 50.0, id="median"),
        pytest.param(0.99, 99.0, id="one in a hundred is above"),
        pytest.param(1.0, 100.0, id="the largest"),
        pytest.param(0.0, 1.0, id="the smallest"),
    ],
)
def test_a_quantile_is_one_of_the_values(share: float, value: float) -> None:
    assert quantile([float(n) for n in range(100, 0, -1)], share) == value


def test_the_median_stands_beside_the_median_of_the_baseline() -> None:
    found = figure("way", [30, 10, 20], "ms", "here", baseline="hop", baseline_runs=[4, 5, 6], floor="50 ms")
    assert (found.value, found.ratio) == (20, 4)
    assert found.line() == "way: 20 ms  [here]; 4.00 x hop (5); floor 50 ms"


def test_measuring_one_benchmark_leaves_the_figures_of_another(capsys: pytest.CaptureFixture[str]) -> None:
    write("ingest", [figure("rate", [1000], "messages/s", "twenty connections")], at=NOW)
    (report.BUILD / "ingest.json").unlink()
    write("loop", [figure("way", [20], "ms", "quiet")], at=NOW)
    write("loop", [figure("way", [30], "ms", "quiet")], at=NOW)
    page = report.PAGE.read_text("utf-8")
    assert page.count("## ") == 2
    assert "| rate | 1,000 messages/s | twenty connections |" in page
    assert "| way | 30 ms | quiet |" in page
    assert "| way | 20 ms" not in page
    assert capsys.readouterr().out.splitlines()[-1] == "way: 30 ms  [quiet]"
