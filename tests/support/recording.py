"""Recorded courses of a trial's patients: enrolment, then one report of 20 results per draw; some of them rise.

Synthetic throughout, and the same for the same arguments. Draws lie an hour apart and end at `until`, so that nothing
becomes due while a recording is played.
"""

import random
from collections.abc import Iterator
from datetime import datetime, timedelta
from decimal import Decimal

from schemas.clinical_event_v1 import AnyEvent, Code, Enrolment, LabReport, Original, Result
from services.common.identifiers import stable_id

PANEL: dict[str, tuple[str, str, str, str]] = {
    "FERRITIN": ("ug/L", "60", "15", "150"),
    "ALT": ("U/L", "22", "7", "40"),
    "AST": ("U/L", "21", "10", "40"),
    "ALP": ("U/L", "70", "40", "130"),
    "GGT": ("U/L", "25", "8", "60"),
    "BILIRUBIN_TOTAL": ("umol/L", "9", "3", "21"),
    "LDH": ("U/L", "180", "120", "250"),
    "CREATININE": ("umol/L", "70", "45", "90"),
    "CK": ("U/L", "90", "30", "170"),
    "LIPASE": ("U/L", "30", "13", "60"),
    "AMYLASE": ("U/L", "55", "30", "110"),
    "HEMOGLOBIN": ("g/L", "135", "120", "160"),
    "PLATELETS": ("10*9/L", "230", "150", "400"),
    "LEUKOCYTES": ("10*9/L", "6.5", "4", "10"),
    "NEUTROPHILS": ("10*9/L", "3.9", "2", "7"),
    "LYMPHOCYTES": ("10*9/L", "1.8", "1", "4"),
    "SODIUM": ("mmol/L", "140", "135", "145"),
    "POTASSIUM": ("mmol/L", "4.2", "3.5", "5.1"),
    "GLUCOSE": ("mmol/L", "5.1", "3.9", "6.1"),
    "UREA": ("mmol/L", "5.0", "2.5", "7.1"),
}
RISING = ("FERRITIN", "ALT", "AST")


def ref_of(patient: int) -> str:
    """Return the ref of the n-th patient."""
    return f"TEST-{patient:04d}-00000"


def enrolments(patients: int, until: datetime, draws: int) -> Iterator[Enrolment]:
    """Give every patient's enrolment; the first dose lies after the second draw."""
    start = until - timedelta(hours=draws)
    for patient in range(patients):
        ref = ref_of(patient)
        yield Enrolment(
            event_id=stable_id("enrolment", ref),
            patient_ref=ref,
            source="registry",
            received_at=start - timedelta(days=1),
            arm="immunotherapy",
            status="enrolled",
            consented_at=start - timedelta(days=2),
            first_dose_at=start + timedelta(hours=2, minutes=30),
            sex="female",
        )


def report(patient: int, draw: int, collected_at: datetime, *, rises: bool, dice: random.Random) -> LabReport:
    """Return one report of 20 results."""
    ref = ref_of(patient)
    results = []
    for analyte, (unit, usual, low, high) in PANEL.items():
        value = Decimal(usual) * (Decimal(dice.randrange(92, 109)) / 100)
        if rises and analyte in RISING:
            value = Decimal(high) * (4 + draw % 5)
        text = f"{value:.2f}"
        results.append(
            Result(
                result_id=stable_id("result", ref, str(draw), analyte),
                analyte=analyte,
                code=Code(value=f"{len(analyte)}-1", system="LN", text=f"{analyte} in Serum or Plasma"),
                value=Decimal(text),
                unit=unit,
                original=Original(value=text, unit=unit),
                reference_low=Decimal(low),
                reference_high=Decimal(high),
                collected_at=collected_at,
                resulted_at=collected_at + timedelta(minutes=20),
                specimen="SER",
                order_key=stable_id("order", ref, str(draw), analyte),
                specimen_id=f"S{patient}-{draw}",
            )
        )
    return LabReport(
        event_id=stable_id("report", ref, str(draw)),
        patient_ref=ref,
        source="lis",
        received_at=collected_at + timedelta(minutes=30),
        raw_ref=f"raw-{patient}-{draw}",
        control_id=f"{patient}-{draw}",
        results=tuple(results),
    )


def recording(patients: int, draws: int, until: datetime, *, rising_every: int = 10) -> Iterator[AnyEvent]:
    """Give enrolments, then the draws of all patients in turn; every n-th patient rises from the fourth draw on."""
    yield from enrolments(patients, until, draws)
    dice = random.Random(patients * 1000 + draws)
    for draw in range(draws):
        at = until - timedelta(hours=draws - draw)
        for patient in range(patients):
            rises = draw >= 3 and patient % rising_every == 0  # two draws before the dose, one after it
            yield report(patient, draw, at + timedelta(seconds=patient), rises=rises, dice=dice)
