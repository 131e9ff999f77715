"""Things that are away: the broker at start and for a while, the mail server, one mailbox, the room on a disk.

Law of each: whoever waits is told so, nothing is lost, nothing wrong is said, and it goes on by itself.
"""

import subprocess
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import URL

from deploy.broker import Broker
from services.common.clock import utc_now
from tests.acceptance.conftest import Opened
from tests.support.forwarder import Forwarder
from tests.support.hospital import Draw, Patient
from tests.support.messages import a_panel
from tests.support.mllp_client import MllpClient, NoAnswer
from tests.support.postgres import connected
from tests.support.processes import Process, free_port
from tests.support.site import LI, MEYER, OKAFOR, WANG
from tests.support.system import HOST

HOUR = timedelta(hours=1)
AGAIN_SECONDS = 90.0
DISK_BYTES = 12 * 1024 * 1024

pytestmark = pytest.mark.slow


def until(reached: Callable[[], bool], *, within: float, what: str) -> None:
    deadline = time.monotonic() + within
    while not reached():
        assert time.monotonic() < deadline, f"not within {within} s: {what}"
        time.sleep(0.1)


def a_rise(patient: Patient) -> None:
    """Ferritin 412 after 80: level 2; it pages at once as it is P2 and new."""
    answer, _ = patient.draw(ago=HOUR, FERRITIN="412")
    assert answer.code == "AA"


def test_services_wait_for_a_broker_that_is_away_at_start(open_hospital: Opened, kafka_bootstrap: str) -> None:
    nobody = free_port()
    hospital = open_hospital(kafka_bootstrap, start=False)
    hospital.system.apply_topics()
    for service in hospital.system.services:
        service.env["KAFKA_BOOTSTRAP_SERVERS"] = f"{HOST}:{nobody}"
        service.start()
    for service in hospital.system.services:
        until(partial(_says_why_not, service), within=60, what=f"{service.name} says why it is not ready")
    with Forwarder(nobody, kafka_bootstrap):
        for service in hospital.system.services:
            service.wait_ready(AGAIN_SECONDS)
        patient = hospital.patient().with_baseline()
        a_rise(patient)
        patient.mail(to=LI.mail, within=AGAIN_SECONDS)


def _says_why_not(service: Process) -> bool:
    assert service.is_running, service.tail()
    with suppress(Exception):
        answer = service.get("/ready")
        return answer.status_code == 503 and bool(answer.text.strip())
    return False


def test_a_message_is_not_answered_while_the_broker_is_silent_and_is_not_lost(
    own_broker: Broker, open_hospital: Opened
) -> None:
    hospital = open_hospital(own_broker.bootstrap)
    patient = hospital.patient().with_baseline()
    assert patient.ref
    own_broker.freeze()
    try:
        with MllpClient(HOST, hospital.system.ports.mllp, timeout=8) as laboratory:
            started = time.monotonic()
            with pytest.raises(NoAnswer):
                laboratory.send(patient.message(a_panel(FERRITIN="412"), _a_draw(patient)))
            # Interface engines wait five seconds: the close must come before they give up.
            assert time.monotonic() - started < 5
        until(
            lambda: hospital.system.ingest.readiness() is not None,
            within=60,
            what="ingest says that it cannot take more",
        )
    finally:
        own_broker.thaw()
    a_rise(patient)
    patient.alert("ferritin.rise", "raised", within=AGAIN_SECONDS)
    patient.mail(to=LI.mail, within=AGAIN_SECONDS)
    for service in hospital.system.services:
        service.wait_ready(AGAIN_SECONDS)
        assert service.is_running


def _a_draw(patient: Patient) -> Draw:
    number = patient.hospital.number
    return Draw(number(), utc_now() - HOUR, number())


def test_one_refused_mailbox_does_not_keep_the_others_from_being_told(
    open_hospital: Opened, kafka_bootstrap: str
) -> None:
    hospital = open_hospital(kafka_bootstrap)
    hospital.mailbox.refuses.add(WANG.mail)
    patient = hospital.patient().with_baseline()
    a_rise(patient)
    patient.mail(to=LI.mail)
    patient.mail(to=MEYER.mail)
    (refused,) = patient.deliveries("refused", recipient=WANG.name)
    assert refused["channel"] == "mail"
    assert not hospital.mailbox.to(WANG.mail)
    assert hospital.mailbox.to(WANG.page) or patient.deliveries("sent", recipient=WANG.name, channel="pager")


def test_a_mail_server_that_is_away_gets_everything_once_it_is_back(
    open_hospital: Opened, kafka_bootstrap: str
) -> None:
    hospital = open_hospital(kafka_bootstrap)
    patient = hospital.patient().with_baseline()
    hospital.mailbox.down()
    a_rise(patient)
    patient.alert("ferritin.rise", "raised")
    tried = 'notifier_told_total{channel="mail",result="retry"}'
    until(
        lambda: hospital.system.notifier.metrics().get(tried, 0) >= 1, within=60, what="the mail was tried, and is kept"
    )
    assert hospital.mailbox.mails == ()
    hospital.mailbox.up()
    for member in (LI, WANG, MEYER):
        patient.mail(to=member.mail, within=AGAIN_SECONDS)
        patient.deliveries("sent", recipient=member.name, channel="mail")
    assert len(patient.mails()) == len({str(mail.message["Message-ID"]) for mail in patient.mails()})


@pytest.fixture
def databases(postgres_server: URL) -> Iterator[tuple[URL, URL]]:
    """Two empty databases, the detector's and the notifier's."""
    names = [f"acc_{uuid.uuid4().hex[:10]}" for _ in range(2)]
    with connected(postgres_server) as server:
        for name in names:
            server.execute(f'CREATE DATABASE "{name}"'.encode())
    yield postgres_server.set(database=names[0]), postgres_server.set(database=names[1])
    with connected(postgres_server) as server:
        for name in names:
            server.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)'.encode())


def test_a_database_that_goes_away_for_a_while_loses_nothing(
    databases: tuple[URL, URL], open_hospital: Opened, kafka_bootstrap: str
) -> None:
    door, server = free_port(), f"{databases[0].host}:{databases[0].port}"
    through = [url.set(host=HOST, port=door).render_as_string(hide_password=False) for url in databases]
    env = {"DETECTOR_DATABASE_URL": through[0], "NOTIFIER_DATABASE_URL": through[1]}
    hospital = open_hospital(kafka_bootstrap, start=False, env=env)
    with Forwarder(door, server):
        hospital.system.apply_topics()
        hospital.system.start()
        patient = hospital.patient().with_baseline()
        assert patient.ref
        assert patient.settle() == []
    # The database is away; the laboratory does not notice.
    a_rise(patient)
    for service in (hospital.system.detector, hospital.system.notifier):
        until(partial(_is_not_ready, service), within=60, what=f"{service.name} says that its database is away")
    with Forwarder(door, server):
        for service in hospital.system.services:
            if not service.is_running:  # as a supervisor would
                service.start()
        patient.alert("ferritin.rise", "raised", within=AGAIN_SECONDS)
        patient.mail("412", to=LI.mail, within=AGAIN_SECONDS)
        hospital.system.stop()


def _is_not_ready(service: Process) -> bool:
    return service.readiness() is not None


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system with little room."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", str(disk)], capture_output=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip("needs the right to mount a small file system")
    yield disk
    subprocess.run(["umount", "--lazy", str(disk)], check=True)


def fill(disk: Path) -> Path:
    """Take all the room that is left."""
    ballast = disk / "ballast"
    with suppress(OSError), ballast.open("wb", buffering=0) as file:
        while True:
            file.write(b"\0" * 4096)
    return ballast


@pytest.mark.parametrize("name", ["detector", "notifier"])
def test_a_full_disk_stops_the_store_and_loses_nothing(
    small_disk: Path, open_hospital: Opened, kafka_bootstrap: str, name: str
) -> None:
    url = f"sqlite:///{small_disk / 'store.db'}"
    hospital = open_hospital(kafka_bootstrap, env={f"{name.upper()}_DATABASE_URL": url})
    service: Process = getattr(hospital.system, name)
    patient = hospital.patient().with_baseline()
    assert patient.settle() == []
    patient.mail(to=OKAFOR.mail)

    ballast = fill(small_disk)
    a_rise(patient)
    until(lambda: service.readiness() is not None, within=60, what=f"{name} says that its store takes nothing")
    ballast.unlink()
    if not service.is_running:  # as a supervisor would
        service.start()
    patient.alert("ferritin.rise", "raised", within=AGAIN_SECONDS)
    patient.mail("412", to=LI.mail, within=AGAIN_SECONDS)
    service.wait_ready(AGAIN_SECONDS)
    assert [a["rule_id"] for a in patient.alerts()] == ["ctcae.hyperkalemia", "ferritin.rise"]
