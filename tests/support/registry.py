"""The trial office's side of the registry API: plain HTTP with a bearer token, nothing of our code."""

from collections.abc import Mapping
from datetime import datetime
from types import TracebackType
from typing import Self

import httpx

from tests.support.messages import Subject


class Registry:
    """Speaks to one ingest process. Answers are returned as they are; `expect` is what a caller counts on."""

    def __init__(self, base_url: str, token: str, *, timeout: float = 15.0) -> None:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._http = httpx.Client(base_url=base_url, headers=headers, timeout=timeout, trust_env=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the connection."""
        self._http.close()

    def put(self, path: str, body: Mapping[str, object]) -> httpx.Response:
        """PUT `body` at `/v1/patients/<path>`."""
        return self._http.put(f"/v1/patients/{path}", json=body)

    def enrol(
        self,
        subject: Subject,
        *,
        first_dose_at: datetime | None,
        consented_at: datetime | None = None,
        **changes: object,
    ) -> httpx.Response:
        """Enrol in the immunotherapy arm, unless `changes` say otherwise."""
        body = enrolment(subject, first_dose_at=first_dose_at, consented_at=consented_at)
        return self.put(subject.mrn, body | changes)

    def cycle(
        self, subject: Subject, number: int, *, administered_at: datetime, drugs: tuple[str, ...]
    ) -> httpx.Response:
        """Record a given cycle."""
        body = {"administered_at": _text(administered_at), "drugs": list(drugs), "status": "given"}
        return self.put(f"{subject.mrn}/cycles/{number}", body)

    def adverse_event(
        self, subject: Subject, name: str, *, term: str, organ: str, grade: int, graded_at: datetime
    ) -> httpx.Response:
        """Record one grading of an adverse event."""
        body = {
            "term": term, "organ": organ, "grade": grade, "graded_at": _text(graded_at),
            "assessor": "dr-li", "attribution": "irAE",
        }  # fmt: skip
        return self.put(f"{subject.mrn}/adverse-events/{name}", body)


def enrolment(
    subject: Subject, *, first_dose_at: datetime | None, consented_at: datetime | None = None
) -> dict[str, object]:
    """Return the body of an enrolment in the immunotherapy arm."""
    return {
        "study_id": f"IRAE-{subject.mrn[-5:]}",
        "arm": "immunotherapy",
        "status": "enrolled",
        "consented_at": _text(consented_at or first_dose_at),
        "first_dose_at": _text(first_dose_at),
        "sex": subject.sex,
        "birth_date": subject.birth_date,
        "name": f"{subject.family} {subject.given}",
        "ward": "ONC-3",
        "cycle_days": 21,
    }


def _text(instant: datetime | None) -> str | None:
    return instant.isoformat() if instant is not None else None


def event_id(answer: httpx.Response) -> str:
    """Return the id of an accepted call. Raises AssertionError with the answer where it was not accepted."""
    assert answer.status_code == httpx.codes.ACCEPTED, (answer.status_code, answer.text)
    return str(answer.json()["event_id"])
