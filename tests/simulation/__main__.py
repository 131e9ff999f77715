"""Run the ward: `python -m tests.simulation --seed 1 --days 120 [--patients 20] [--seeds 5]`.

Prints progress and a summary. A broken promise prints the command that shows it again, and exits with 1.
"""

import argparse
import random
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from services.detector.domain.rules import Rulebook
from services.detector.rulebook import load
from tests.simulation.ward import BEGINNING, Arrival, Patient
from tests.simulation.watcher import Broken, Watcher, check_any_order, check_incremental

SITE = ZoneInfo("Asia/Shanghai")


@dataclass
class Totals:
    """What a run has seen."""

    patients: int = 0
    events: int = 0
    alerts: int = 0
    plans: int = 0
    refolds: int = 0
    outages: int = 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the seeds asked for."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description="a hospital on virtual time")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seeds", type=int, default=1, help="how many seeds from --seed on")
    parser.add_argument("--days", type=int, default=120)
    parser.add_argument("--patients", type=int, default=20)
    options = parser.parse_args(arguments)
    rules = load(Path("no-site"), SITE)
    for seed in range(options.seed, options.seed + options.seeds):
        if not run(seed, options.days, options.patients, rules):
            return 1
    return 0


def run(seed: int, days: int, patients: int, rules: Rulebook) -> bool:
    """Run one seed; tell whether every promise held."""
    totals = Totals()
    started = time.monotonic()
    for number in range(patients):
        rng = random.Random(f"{seed}-{number}")
        try:
            play(Patient(number, rng, days).arrivals(), rng, days, rules, totals)
        except Broken as broken:
            print(f"seed {seed}, patient {number}: {broken}")
            print(f"again: make simulate SEED={seed} DAYS={days}")
            return False
        if sys.stdout.isatty():
            print(f"\rseed {seed}: {number + 1}/{patients} patients", end="", flush=True)
    seconds = time.monotonic() - started
    print(
        f"{chr(13) if sys.stdout.isatty() else ''}seed {seed}: {days} days, {totals.patients} patients, "
        f"{totals.events} events, {totals.alerts} alerts, {totals.plans} plans, {totals.refolds} folds from history, "
        f"{totals.outages} outages, {seconds:.1f} s: P2, P3, P6 and P10 held after every step"
    )
    return True


def play(arrivals: Sequence[Arrival], rng: random.Random, days: int, rules: Rulebook, totals: Totals) -> None:
    """Play one patient: time passes to each arrival, or there is an outage and several arrive at once."""
    watcher = Watcher(rules)
    waiting: list[Arrival] = []
    for arrival in arrivals:
        waiting.append(arrival)
        if rng.random() < 0.05:
            continue
        if len(waiting) > 1:
            totals.outages += 1
            watcher.outage_until(arrival.at)
        else:
            watcher.pass_time(arrival.at)
        watcher.take([late.event for late in waiting], arrival.at)
        waiting.clear()
        if rng.random() < 0.1:
            check_incremental(watcher, arrival.at)
    end = BEGINNING + timedelta(days=days + 30)
    watcher.take([late.event for late in waiting], end)
    watcher.outage_until(end)
    watcher.pass_time(end)
    check_incremental(watcher, end)
    check_any_order(watcher, end, rng)
    totals.patients += 1
    totals.events += len(watcher.facts)
    totals.alerts += watcher.said
    totals.plans += len(watcher.plans)
    totals.refolds += watcher.refolds


if __name__ == "__main__":
    sys.exit(main())
