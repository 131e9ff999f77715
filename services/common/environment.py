"""What is wrong with the environment, in sentences that name each variable and never show its value."""

from pydantic import ValidationError

from services.common.kafka import KafkaSettings


def wrong_variables(problem: ValidationError, prefix: str) -> list[str]:
    """Return one sentence per refused variable; `prefix` is the service's (`INGEST`), Kafka's have their own."""
    of_kafka = problem.title == KafkaSettings.__name__
    return [
        f"{_variable(error['loc'], 'KAFKA' if of_kafka else prefix)}: {error['msg']}"
        for error in problem.errors(include_input=False, include_url=False)
    ]


def _variable(location: tuple[int | str, ...], prefix: str) -> str:
    """A setting that was read by an alias of its own already carries the variable's name."""
    name = str(location[0]) if location else "settings"
    return name if name.isupper() else f"{prefix}_{name.upper()}"
