"""Builders of HL7 messages of synthetic patients; a test states only what matters to it."""

from collections.abc import Sequence

FERRITIN = "2276-4^Ferritin^LN"
ALT = "1742-6^ALT^LN"
A_PATIENT = "PID|1||P000123^^^HOSP^MR||Test^Patient||19600101|F"


def a_header(
    *,
    kind: str = "ORU^R01^ORU_R01",
    control_id: str = "C1",
    application: str = "LIS",
    sent: str = "20260119103000",
    version: str = "2.5.1",
    processing: str = "P",
    modes: str = "|",
    charset: str = "UNICODE UTF-8",
) -> str:
    """Return an MSH; `modes` is MSH-15 and MSH-16."""
    start = f"MSH|^~\\&|{application}|LAB|IRAE|TRIAL|{sent}||{kind}|{control_id}"
    return f"{start}|{processing}|{version}|||{modes}||{charset}"


def an_order(*, filler: str = "F77^LIS", collected: str = "20260119080000", resulted: str = "20260119102500") -> str:
    """Return an OBR."""
    return f"OBR|1|O77|{filler}|PANEL^Biochemistry^L|||{collected}|||||||||||||||{resulted}|||F"


def an_observation(
    value: str = "812",
    *,
    code: str = FERRITIN,
    unit: str = "ug/L",
    limits: str = "30-400",
    status: str = "F",
    kind: str = "NM",
    sub_id: str = "",
) -> str:
    """Return an OBX."""
    return f"OBX|1|{kind}|{code}|{sub_id}|{value}|{unit}|{limits}|N|||{status}"


def a_message(*segments: str, header: str | None = None, patient: str = A_PATIENT, end: str = "\r") -> bytes:
    """Return an ORU as it stands in a frame; without segments one order with one ferritin."""
    content: Sequence[str] = segments or (an_order(), an_observation())
    return end.join((header if header is not None else a_header(), patient, *content, "")).encode()
