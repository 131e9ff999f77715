"""What ingest reads from the site's folder at start, and every fault of it as a sentence."""

import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from zoneinfo import ZoneInfo

from kafka.errors import KafkaError

from schemas.admin import check_topics
from schemas.topics import CLINICAL_EVENTS, PATIENTS, RAW_MESSAGES, TOPICS, Topic
from services.common.errors import Misconfigured
from services.common.kafka import KafkaSettings, require_safe_client
from services.common.site import site_key, site_zone
from services.ingest.adapters.tokens import TokenFile
from services.ingest.domain.profile import Profiles
from services.ingest.domain.tables import Tables
from services.ingest.rulebook import load_profiles, load_tables
from services.ingest.settings import IngestSettings

WRITTEN: tuple[Topic, ...] = tuple(
    TOPICS[name]
    for name in (RAW_MESSAGES.name, RAW_MESSAGES.dead, PATIENTS.name, CLINICAL_EVENTS.name, CLINICAL_EVENTS.dead)
)


@dataclass(frozen=True, slots=True)
class Site:
    """Everything that is read once."""

    key: bytes = field(repr=False)
    zone: ZoneInfo
    tables: Tables
    profiles: Profiles
    tokens: TokenFile

    def strangers(self) -> list[str]:
        """Return a sentence per authority of a token that no source of results has."""
        return strangers(self.tokens, self.profiles)


def strangers(tokens: TokenFile, profiles: Profiles) -> list[str]:
    """Return a sentence per authority of a token that no source of results has: usually a spelling."""
    unknown = tokens.authorities - {profile.authority for profile in profiles.entries}
    return [
        f"a token speaks of patients of {authority}, no source of results does: the two would never be one patient"
        for authority in sorted(unknown)
    ]


def read_strangers(settings: IngestSettings) -> list[str]:
    """Return the same for a site that is only checked. Raises Misconfigured."""
    return strangers(_tokens(settings), load_profiles(settings.site_dir, load_tables(settings.site_dir)))


def load_site(settings: IngestSettings) -> Site:
    """Read the site's files; the key is made on a first local run. Raises Misconfigured with all faults."""
    faults = local_faults(settings)
    if faults:
        raise Misconfigured("site", "\n".join(faults))
    tables = load_tables(settings.site_dir)
    return Site(
        key=site_key(settings.site_key_file, production=settings.production),
        zone=site_zone(settings.site_dir),
        tables=tables,
        profiles=load_profiles(settings.site_dir, tables),
        tokens=_tokens(settings),
    )


def local_faults(settings: IngestSettings) -> list[str]:
    """Return a sentence per fault of what can be checked without a broker. Makes nothing."""
    checks: list[Callable[[], object]] = [
        require_safe_client,
        lambda: site_zone(settings.site_dir),
        lambda: _tokens(settings),
        lambda: load_profiles(settings.site_dir, load_tables(settings.site_dir)),
        lambda: tls_context(settings),
    ]
    if settings.production or settings.site_key_file.exists():
        checks.append(lambda: site_key(settings.site_key_file, production=settings.production))
    faults = [*settings.plain_text_faults(), *settings.tls_faults()]
    for check in checks:
        try:
            check()
        except Misconfigured as problem:
            faults.append(problem.detail)
    return faults


def topic_faults(kafka: KafkaSettings) -> list[str]:
    """Return a sentence per fault of the topics, or one that no broker answers."""
    try:
        return check_topics(kafka, WRITTEN)
    except (KafkaError, OSError) as problem:
        return [f"Kafka does not answer at {kafka.bootstrap_servers} ({type(problem).__name__})"]
    except Misconfigured as problem:
        return [problem.detail]


def warnings_of(settings: IngestSettings) -> list[str]:
    """Return what a person should know and has decided on."""
    found = [f"{what} listens on {host} in plain text" for what, host, _ in settings.plain_text_ports()]
    if not (settings.site_dir / "tokens.toml").exists():
        found.append("there is no tokens.toml: nobody can use the registry API")
    if not settings.production and not settings.site_key_file.exists():
        found.append(f"{settings.site_key_file} does not exist yet: it is made by the first start")
    return found


def _tokens(settings: IngestSettings) -> TokenFile:
    tokens = TokenFile(settings.site_dir / "tokens.toml")
    tokens.load()
    return tokens


def tls_context(settings: IngestSettings) -> ssl.SSLContext | None:
    """Return the context of the MLLP TLS port, or None where there is none. Raises Misconfigured."""
    if settings.mllp_tls_port is None or settings.tls_certfile is None:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(settings.tls_certfile, settings.tls_keyfile)
        if settings.tls_client_cafile is not None:
            context.load_verify_locations(settings.tls_client_cafile)
            context.verify_mode = ssl.CERT_REQUIRED
    except OSError as problem:
        raise Misconfigured("tls", f"the certificate files of INGEST_TLS_* cannot be used: {problem}") from problem
    return context
