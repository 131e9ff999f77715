"""The registry API as a client sees it, before a registry that does what the test says."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from zoneinfo import ZoneInfo

import httpx
import pytest
from prometheus_client import CollectorRegistry

from services.ingest.adapters.http_api import Answer, Impossible, NotNow, Recorded, RegistryApi
from services.ingest.adapters.registry_bodies import PatientBody, Statement
from services.ingest.adapters.tokens import Grant
from services.ingest.metrics import IngestMetrics

PATIENT = {"study_id": "S-1", "arm": "targeted", "status": "enrolled"}
GRANTS = {
    "office": Grant("trial-office", "HOSP", frozenset({"coordinator"})),
    "doctor": Grant("clinic", "HOSP", frozenset({"mdt"})),
    "auditor": Grant("audit", "HOSP", frozenset({"audit", "ops"})),
}


@dataclass(slots=True)
class FakeRegistry:
    answer: Answer = field(default_factory=lambda: Recorded("e1"))
    statements: list[Statement] = field(default_factory=list)

    async def record(self, statement: Statement) -> Answer:
        self.statements.append(statement)
        if self.answer == Recorded("crash"):
            raise RuntimeError("Zhang San")
        return self.answer

    def fault(self) -> str | None:
        return None


@dataclass(slots=True)
class Api:
    registry: FakeRegistry = field(default_factory=FakeRegistry)
    metrics: IngestMetrics = field(default_factory=lambda: IngestMetrics(CollectorRegistry()))

    def call(
        self,
        path: str = "/v1/patients/0042",
        *,
        token: str | None = "office",
        method: str = "PUT",
        json: object = None,
        content: bytes | AsyncIterator[bytes] | None = None,
        headers: dict[str, str] | None = None,
        crashes_loudly: bool = False,
    ) -> httpx.Response:
        api = RegistryApi(
            self.registry, GRANTS.get, zone=ZoneInfo("Asia/Shanghai"), max_body_bytes=2000, metrics=self.metrics
        ).build()
        sent = ({"Authorization": f"Bearer {token}"} if token is not None else {}) | (headers or {})

        async def request() -> httpx.Response:
            transport = httpx.ASGITransport(api, raise_app_exceptions=crashes_loudly)
            async with httpx.AsyncClient(transport=transport, base_url="http://ingest") as client:
                body = {"json": json if json is not None else PATIENT} if content is None else {"content": content}
                return await client.request(method, path, headers=sent, **body)

        return asyncio.run(request())


def test_a_patient_is_accepted_with_the_id_of_the_event_and_the_grant_of_the_token() -> None:
    api = Api()
    answer = api.call()

    assert (answer.status_code, answer.json()) == (202, {"event_id": "e1"})
    (statement,) = api.registry.statements
    assert (statement.grant, statement.mrn) == (GRANTS["office"], "0042")
    assert isinstance(statement.body, PatientBody)
    assert api.metrics.http_requests.labels("/v1/patients/{mrn}", "202")._value.get() == 1


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("cycles/2", {"administered_at": "2026-02-02"}),
        ("adverse-events/ae-1", {"term": "Rash", "grade": 1, "graded_at": "2026-02-02T08:00:00+08:00"}),
        ("confounders/c1", {"kind": "transfusion", "at": "2026-02-02"}),
        (
            "baselines/FERRITIN",
            {"value": "80", "unit": "ug/L", "collected_at": "2026-01-02", "pinned_by": "dr-li", "reason": "stable"},
        ),
    ],
)
def test_each_call_of_the_contract_is_there(path: str, body: dict[str, object]) -> None:
    api = Api()
    answer = api.call(f"/v1/patients/0042/{path}", json=body)

    assert answer.status_code == 202, answer.text
    assert str(api.registry.statements[0].name) == path.partition("/")[2]


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Basic office"}, {"Authorization": "Bearer"}])
def test_without_a_known_token_nothing_is_said_but_no(headers: dict[str, str]) -> None:
    answer = Api().call(token=None, headers=headers)

    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"] == "Bearer"
    assert answer.json() == {"type": "about:blank", "title": "Unauthorized", "status": 401}


def test_a_wrong_token_is_refused_before_the_body_is_looked_at() -> None:
    api = Api()
    assert api.call(token="guess", content=b"{").status_code == 401
    assert api.registry.statements == []


@pytest.mark.parametrize(
    ("token", "path", "status"),
    [
        ("auditor", "/v1/patients/1", 403),
        ("doctor", "/v1/patients/1", 403),
        ("doctor", "/v1/patients/1/baselines/FERRITIN", 422),
        ("auditor", "/v1/patients/1/baselines/FERRITIN", 403),
    ],
)
def test_roles_decide_who_may_write_what(token: str, path: str, status: int) -> None:
    assert Api().call(path, token=token).status_code == status


def test_an_error_is_problem_details_that_name_fields_and_repeat_nothing() -> None:
    answer = Api().call(json=PATIENT | {"arm": "placebo-Zhang", "study_id": 7, "shoe_size": 42})

    assert answer.status_code == 422
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert {error["field"] for error in answer.json()["errors"]} == {"arm", "study_id", "shoe_size"}
    assert "Zhang" not in answer.text


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b'{"study_id": "\xff"}', b'{"a": 1}x', b"[" * 100_0],
    ids=["empty", "cut", "not UTF-8", "trailing", "deep"],
)
def test_a_body_that_is_no_json_is_a_bad_request(content: bytes) -> None:
    answer = Api().call(content=content, headers={"Content-Type": "application/json"})

    assert answer.status_code == 400


@pytest.mark.parametrize(
    "when",
    [
        pytest.param("20261120", id="as HL7 writes a day"),
        pytest.param("1763600000", id="seconds since 1970"),
        pytest.param("2026-11-20T10:00:00", id="without its offset"),
        pytest.param("2026-02-30", id="a day that is none"),
        pytest.param("２０２６-11-20", id="full width"),
        pytest.param("9999-12-31T23:59:59-12:00", id="beyond what can be said in UTC"),
        pytest.param("0001-01-01T00:00:00+14:00", id="before what can be said in UTC"),
        pytest.param("2026-11-20T24:00:00Z", id="24:00"),
        pytest.param(1763600000, id="a number"),
    ],
)
def test_a_time_that_is_none_is_refused_and_not_repeated(when: object) -> None:
    answer = Api().call("/v1/patients/1/adverse-events/a", json={"term": "Rash", "grade": 1, "graded_at": when})

    assert answer.status_code == 422
    assert [error["field"] for error in answer.json()["errors"]] == ["graded_at"]
    assert str(when) not in answer.text


@pytest.mark.parametrize(
    "given",
    [
        pytest.param({"study_id": "S\0"}, id="text"),
        pytest.param({"name": "Zhang\x07"}, id="name"),
        pytest.param({"screening": {"ecog\0": 1}}, id="name of an item"),
        pytest.param({"screening": {"note": "x\x1b"}}, id="item"),
        pytest.param({"screening": {"serology": {"hbsag": "\0"}}}, id="nested item"),
        pytest.param({"birth_date": "0001-01-01"}, id="a birth date nobody has"),
    ],
)
def test_what_no_database_or_person_can_have_is_refused(given: dict[str, object]) -> None:
    api = Api()
    assert api.call(json=PATIENT | given).status_code == 422
    assert api.registry.statements == []


def test_a_baseline_is_not_below_nought() -> None:
    body = {"value": "-80", "unit": "ug/L", "collected_at": "2026-01-02", "pinned_by": "dr-li", "reason": "stable"}
    assert Api().call("/v1/patients/1/baselines/FERRITIN", json=body).status_code == 422


def test_a_body_that_says_two_things_under_one_name_is_refused() -> None:
    content = b'{"term": "Rash", "grade": 1, "grade": 3, "graded_at": "2026-11-20"}'
    assert Api().call("/v1/patients/1/adverse-events/a", content=content).status_code == 400


def test_a_byte_order_mark_and_a_missing_content_type_are_tolerated() -> None:
    content = b'\xef\xbb\xbf{"study_id": "S", "arm": "targeted", "status": "screening"}'

    assert Api().call(content=content).status_code == 202


@pytest.mark.parametrize(
    "headers",
    [{"Content-Type": "application/xml"}, {"Content-Type": "text/plain"}, {"Content-Encoding": "gzip"}],
)
def test_other_media_types_are_refused(headers: dict[str, str]) -> None:
    assert Api().call(content=b"{}", headers=headers).status_code == 415


def test_a_body_above_the_limit_is_refused_whether_its_length_is_declared_or_not() -> None:
    async def endless() -> AsyncIterator[bytes]:
        for _ in range(100):
            yield b" " * 100

    api = Api()
    assert api.call(content=b" " * 3000).status_code == 413
    assert api.call(content=endless()).status_code == 413
    assert api.registry.statements == []


def test_what_could_not_be_stored_is_to_be_sent_again() -> None:
    answer = Api(FakeRegistry(NotNow("deadline"))).call()

    assert answer.status_code == 503
    assert int(answer.headers["Retry-After"]) > 0
    assert "deadline" not in answer.text


def test_what_can_never_be_stored_says_why() -> None:
    answer = Api(FakeRegistry(Impossible("value", "is in a unit that cannot be converted"))).call()

    assert answer.status_code == 422
    assert answer.json()["errors"] == [{"field": "value", "message": "is in a unit that cannot be converted"}]


@pytest.mark.parametrize("n", ["0", "1000", "-1", "one", "1.5", "²", "1" * 5000])
def test_a_cycle_that_is_no_number_is_refused(n: str) -> None:
    assert Api().call(f"/v1/patients/1/cycles/{n}").status_code == 422


@pytest.mark.parametrize("mrn", ["%20", "a%00b", "x" * 101, "%FF%FE"])
def test_a_record_number_that_nobody_can_have_is_refused(mrn: str) -> None:
    assert Api().call(f"/v1/patients/{mrn}").status_code == 422


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v1/patients/1", 405),
        ("PUT", "/v2/patients/1", 404),
        ("PUT", "/v1/patients/1/", 404),
        ("GET", "/", 404),
    ],
)
def test_what_is_not_there_is_a_problem_too(method: str, path: str, status: int) -> None:
    answer = Api().call(path, method=method)

    assert answer.status_code == status
    assert answer.headers["Content-Type"] == "application/problem+json"


def test_a_crash_says_nothing_of_its_cause() -> None:
    answer = Api(FakeRegistry(Recorded("crash"))).call()

    assert answer.status_code == 500
    assert "Zhang" not in answer.text


def test_a_crash_is_not_told_to_the_server_which_would_log_its_text() -> None:
    assert Api(FakeRegistry(Recorded("crash"))).call(crashes_loudly=True).status_code == 500
