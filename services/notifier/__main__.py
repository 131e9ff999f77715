"""Wiring of the notifier and its commands: run, `--check`, `who`, `send-test`."""

import argparse
import signal
import sys
from collections.abc import Sequence
from datetime import datetime

from kafka.errors import KafkaError
from pydantic import ValidationError

from schemas.admin import check_topics
from services.common.clock import utc_now
from services.common.database import PASSING, DatabaseHeld
from services.common.environment import wrong_variables
from services.common.errors import EXIT_MISCONFIGURED, EXIT_STUCK, Misconfigured
from services.common.kafka import require_safe_client
from services.common.logging import configure
from services.common.site import site_key
from services.notifier.adapters.channels import open_channel
from services.notifier.adapters.port import Outgoing
from services.notifier.adapters.templates import read_catalogues
from services.notifier.app.service import USED, PartEnded, Service
from services.notifier.domain.delivery import Kind
from services.notifier.domain.routing import route
from services.notifier.domain.values import Urgency
from services.notifier.rulebook.files import SiteFaults
from services.notifier.rulebook.people import is_loopback
from services.notifier.rulebook.site import Site, SiteFiles, load_site
from services.notifier.settings import Settings
from services.notifier.store.opening import open_store
from services.notifier.web.passwords import ask_for_hash, hash_password


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    chosen = _parser().parse_args(arguments)
    try:
        settings = Settings()
    except ValidationError as problem:
        return _complain(wrong_variables(problem, "NOTIFIER"))
    try:
        if chosen.check:
            return check(settings)
        if chosen.command == "password":
            return password()
        if chosen.command == "who":
            return who(settings, Urgency(chosen.urgency), chosen.organ, chosen.at)
        if chosen.command == "send-test":
            return send_test(settings, chosen.channel, chosen.to)
        return run(settings)
    except SiteFaults as problem:
        return _complain(problem.sentences)
    except (Misconfigured, DatabaseHeld) as problem:
        return _complain([getattr(problem, "detail", "") or str(problem)])


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m services.notifier", description="Tells people, until they answer.")
    parser.add_argument("--check", action="store_true", help="check settings, rules, site files, topics and channels")
    commands = parser.add_subparsers(dest="command")
    asked = commands.add_parser("who", help="who would be told")
    asked.add_argument("--urgency", required=True, choices=[urgency.value for urgency in Urgency])
    asked.add_argument("--organ", required=True)
    asked.add_argument("--at", type=_instant, default=None, help="such as 2026-01-04T03:00+08:00; default: now")
    commands.add_parser("password", help="print the hash of a password for people.toml")
    test = commands.add_parser("send-test", help="send a message that says it is a test")
    test.add_argument("channel")
    test.add_argument("--to", help="address; default: the first contact of this channel in people.toml")
    return parser


def _instant(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise argparse.ArgumentTypeError("needs a zone, such as 2026-01-04T03:00+08:00")
    return moment


def _complain(sentences: Sequence[str]) -> int:
    for sentence in sentences:
        print(f"notifier: {sentence}", file=sys.stderr)
    return EXIT_MISCONFIGURED


def run(settings: Settings) -> int:
    """Run the service until SIGTERM or SIGINT."""
    configure("notifier", settings.log_format, settings.log_level)
    require_safe_client()
    key = site_key(settings.site_key_file, production=settings.production)
    try:
        service = Service(settings, SiteFiles(settings.site_dir), key, utc_now)
    except OSError as problem:
        where = f"{settings.metrics_host}:{settings.metrics_port}"
        raise Misconfigured("metrics_port", f"cannot listen on {where}: {problem.strerror}") from problem
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: service.stop.set())
    try:
        service.run()
    except PartEnded as problem:
        print(f"notifier: {problem}", file=sys.stderr)
        return EXIT_STUCK
    return 0


def check(settings: Settings) -> int:
    """Say what is wrong with settings, site, words, store, topics and channels; 0 if nothing is."""
    faults: list[str] = []
    site: Site | None = None
    try:
        site = load_site(settings.site_dir)
    except SiteFaults as problem:
        faults += problem.sentences
    faults += _try(lambda: site_key(settings.site_key_file, production=True), when=settings.production)
    faults += _try(read_catalogues)
    faults += _try(require_safe_client)
    faults += _try(lambda: open_store(settings.database_url).dispose())
    try:
        faults += check_topics(settings.kafka, USED)
    except (KafkaError, OSError) as problem:
        faults.append(f"Kafka at {settings.kafka.bootstrap_servers} does not answer: {type(problem).__name__}")
    except Misconfigured as problem:
        faults.append(problem.detail)
    if site is not None:
        faults += _channel_faults(site)
        for warning in [*site.warnings(utc_now()), *_exposed(settings)]:
            print(f"warning: {warning}")
    if faults:
        return _complain(faults)
    print("notifier: settings, rules, site, store, topics and channels are in order")
    return 0


def _try(step: object, *, when: bool = True) -> list[str]:
    """Return a sentence if the step fails in an expected way."""
    if not when or not callable(step):
        return []
    try:
        step()
    except Misconfigured as problem:
        return [problem.detail]
    except PASSING as problem:
        return [f"the store is away: {type(problem).__name__}"]
    return []


def _exposed(settings: Settings) -> list[str]:
    open_ = not is_loopback(settings.http_host) and not (settings.public_url or "").startswith("https://")
    return [f"the worklist listens on {settings.http_host} without TLS in front of it"] if open_ else []


def _channel_faults(site: Site) -> list[str]:
    faults = []
    for name, channel in site.channels.items():
        try:
            opened = open_channel(channel, utc_now)
        except (ValueError, OSError) as problem:
            faults.append(f"channels.toml: {name}: {problem}")
            continue
        trouble = opened.check()
        opened.close()
        if trouble is not None:
            faults.append(f"channels.toml: {name}: {trouble}")
    return faults


def password() -> int:
    """Ask for a password and print the line that people.toml holds of it; from a pipe, one line is read."""
    try:
        line = ask_for_hash() if sys.stdin.isatty() else f'password = "{hash_password(sys.stdin.readline().rstrip())}"'
    except ValueError as problem:
        return _complain([str(problem)])
    print(line)
    return 0


def who(settings: Settings, urgency: Urgency, organ: str, at: datetime | None) -> int:
    """Print who would be told about an alert of this organ and urgency, and who not."""
    site = load_site(settings.site_dir)
    rules, now = site.rules.routing, at or utc_now()
    roles = rules.organs.get(organ)
    if roles is None:
        return _complain([f"organ {organ} is not in routing.toml; known: {', '.join(sorted(rules.organs))}"])
    routed = route(roles, rules.manners[urgency], staff=site.directory.staff, rules=rules, now=now)
    for telling in routed.tellings:
        when = telling.at.astimezone(site.zone)
        how = f"{telling.digest} digest" if telling.digest else telling.contact.tier
        print(f"{when:%Y-%m-%d %H:%M %Z}  {telling.person_id}  {how} by {telling.contact.channel}  ({telling.reason})")
    for missed in routed.not_told:
        print(f"not told: {missed.person_id or missed.role}: {missed.reason}")
    return 0 if routed.tellings else EXIT_MISCONFIGURED


def send_test(settings: Settings, name: str, address: str | None) -> int:
    """Send one message that says it is a test; 0 if the carrier took it."""
    site = load_site(settings.site_dir)
    channel = site.channels.get(name)
    if channel is None:
        return _complain([f"channel {name} is not in channels.toml; known: {', '.join(sorted(site.channels))}"])
    people = site.directory.staff.people.values()
    known = [contact.address for person in people for contact in person.contacts if contact.channel == name]
    to = address or next(iter(known), None)
    if to is None:
        return _complain([f"nobody in people.toml has a contact of {name}: say --to"])
    now = utc_now()
    item_id = f"test-{int(now.timestamp() * 1e6)}"
    text = f"TEST {now:%Y-%m-%d %H:%M:%S}Z irAE alerting, channel {name}. No patient is meant; nothing to do."
    opened = open_channel(channel, utc_now)
    outcome = opened.send(Outgoing(item_id, f"<{item_id}@lab-alerts>", "P4", channel.tier, to, text, text))
    opened.close()
    print(f"{name}: {outcome.kind} ({outcome.detail})")
    return 0 if outcome.kind is Kind.SENT else 1


if __name__ == "__main__":
    sys.exit(main())
