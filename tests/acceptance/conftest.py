"""An installation per module: own topics, own stores, own site folder, own mail server; its logs when a test fails."""

import uuid
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest
from kafka.errors import KafkaError

from tests.support.broker import delete_topics
from tests.support.hospital import Hospital
from tests.support.mailbox import Mailbox
from tests.support.site import SitePlan, write_site
from tests.support.system import System

Opened = Callable[..., Hospital]


@contextmanager
def _hospitals(folders: pytest.TempPathFactory) -> Iterator[Opened]:
    """Yield a function that writes a site, makes a system and, unless told otherwise, starts it."""
    with ExitStack() as stack:

        def open_one(
            bootstrap: str, *, start: bool = True, env: Mapping[str, str] | None = None, **plan: str
        ) -> Hospital:
            folder = folders.mktemp("hospital")
            mailbox = stack.enter_context(Mailbox())
            chosen = SitePlan(smtp_port=mailbox.port, **plan)  # type: ignore[arg-type]
            site = write_site(folder / "site", chosen)
            prefix = f"acc-{uuid.uuid4().hex[:8]}."
            system = System(folder, site=site, bootstrap=bootstrap, prefix=prefix, env=env)
            stack.callback(_forget_topics, system)
            stack.callback(system.stop)
            hospital = Hospital(system, mailbox, token=chosen.token)
            stack.callback(hospital.close)
            if start:
                system.apply_topics()
                system.start()
            return hospital

        yield open_one


@pytest.fixture(scope="module")
def hospital(tmp_path_factory: pytest.TempPathFactory, kafka_bootstrap: str) -> Iterator[Hospital]:
    """Give a running hospital for all tests of a module."""
    with _hospitals(tmp_path_factory) as open_one:
        yield open_one(kafka_bootstrap)


@pytest.fixture
def open_hospital(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Opened]:
    """Give a function that opens a hospital for one test; a broker of the test's own must be asked for before this."""
    with _hospitals(tmp_path_factory) as open_one:
        yield open_one


def _forget_topics(system: System) -> None:
    """Remove the topics of this installation; a broker of the test's own is gone by now, and they with it."""
    with suppress(KafkaError, OSError):
        delete_topics(system.bootstrap, system.prefix)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show the end of each service's log below a failure."""
    report = yield
    if report.failed:
        for value in getattr(item, "funcargs", {}).values():
            if isinstance(value, Hospital):
                report.sections.append(("services", value.system.tails()))
    return report


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Real processes take their time: every test in this folder has five minutes unless it asks for more."""
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents and item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(300))
