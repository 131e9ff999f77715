"""docs/topics.md from the topic registry."""

from schemas.topics import MAX_MESSAGE_BYTES, SOURCES, Topic
from tools.docs.markdown import generated, table

DAY_MS = 86_400_000


def render() -> str:
    """Return the page."""
    return (
        generated("schemas/topics.py")
        + "# Topics\n\n"
        + "Created and verified by `python -m schemas.topics --apply|--check`; every name may carry `TOPIC_PREFIX`.\n"
        + "Values are UTF-8 JSON, one JSON Schema each in `schemas/json/`. "
        + f"The largest message is {MAX_MESSAGE_BYTES // 1024**2} MiB.\n"
        + "Each topic has a dead-letter twin `<topic>.dead`: what could not be used, and why.\n\n"
        + table(["topic", "what", "key", "schema", "written by", "read by", "kept", "identifies"], map(_row, SOURCES))
        + "\n**identifies**: holds names, numbers or raw text of patients; who reads it reads the patient's file.\n"
    )


def _row(topic: Topic) -> list[str]:
    return [
        f"`{topic.name}`",
        topic.purpose,
        topic.key,
        f"[{topic.model.__name__}](../{topic.model.__module__.replace('.', '/')}.py)",
        ", ".join(topic.writers),
        ", ".join(topic.readers),
        _kept(topic),
        "yes" if topic.identifying else "no",
    ]


def _kept(topic: Topic) -> str:
    if topic.cleanup == "compact":
        return "the newest per key"
    return "for ever" if topic.retention_ms < 0 else f"{topic.retention_ms // DAY_MS} days"
