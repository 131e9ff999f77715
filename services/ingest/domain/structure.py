"""Segments → persons, their order groups, their observations. Law: position decides, set ids do not.

In ORU an ORC stands before its OBR and an SPM after its observations; in OUL an SPM begins the specimen and an ORC
follows its OBR.
"""

from dataclasses import dataclass, field

_LONG_SEGMENT = 2000
_LONG_FIELD = 500

Fields = list[str]
"""Fields of one segment; index 3 is field 3, index 0 the segment's name."""


@dataclass(slots=True)
class Observation:
    """One OBX; `number` counts the OBX of the message from 1."""

    number: int
    fields: Fields = field(repr=False)
    comments: list[str] = field(default_factory=list, repr=False)


@dataclass(slots=True)
class Group:
    """One OBR with what belongs to it; without an OBR if its observations came before any."""

    obr: Fields | None
    orc: Fields | None = None
    spm: Fields | None = None
    observations: list[Observation] = field(default_factory=list)
    comments: list[str] = field(default_factory=list, repr=False)


@dataclass(slots=True)
class Person:
    """One PID with its groups; without a PID if observations came before any. `number` counts PIDs from 1."""

    number: int
    pid: Fields | None = field(repr=False)
    groups: list[Group] = field(default_factory=list)


@dataclass(slots=True)
class _Reader:
    specimen_first: bool
    persons: list[Person] = field(default_factory=list)
    observations: int = 0
    orc: Fields | None = None
    spm: Fields | None = None
    last: list[str] | None = None

    def group(self) -> Group:
        person = self.persons[-1] if self.persons else self.person(None)
        if not person.groups:
            self.order(None)
        return person.groups[-1]

    def person(self, pid: Fields | None) -> Person:
        person = Person(len(self.persons) + 1, pid)
        self.persons.append(person)
        self.orc = self.spm = self.last = None
        return person

    def order(self, obr: Fields | None) -> None:
        person = self.persons[-1] if self.persons else self.person(None)
        group = Group(obr, self.orc, self.spm)
        person.groups.append(group)
        self.orc = None
        self.last = group.comments

    def observe(self, fields: Fields) -> None:
        self.observations += 1
        observation = Observation(self.observations, fields)
        self.group().observations.append(observation)
        self.last = observation.comments

    def common_order(self, fields: Fields) -> None:
        if self.specimen_first and self.persons and self.persons[-1].groups:
            self.persons[-1].groups[-1].orc = fields
        else:
            self.orc = fields

    def specimen(self, fields: Fields) -> None:
        groups = self.persons[-1].groups if self.persons else []
        if self.specimen_first or not groups:
            self.spm = fields
        elif groups[-1].spm is None:
            groups[-1].spm = fields


def _split(line: str, sign: str) -> Fields:
    """Split a segment. Of a document in an OBX only the beginning is kept: nothing we read is that long."""
    fields = line.split(sign)
    return fields if len(line) <= _LONG_SEGMENT else [text[:_LONG_FIELD] for text in fields]


def read_structure(lines: list[str], sign: str, *, specimen_first: bool) -> list[Person]:
    """Return the persons of a result message in order. `specimen_first`: the message is an OUL."""
    reader = _Reader(specimen_first)
    for line in lines:
        match line[:3]:
            case "OBX":
                reader.observe(_split(line, sign))
            case "NTE":
                fields = line.split(sign, 4)
                if reader.last is not None and len(fields) > 3:  # noqa: PLR2004 - NTE-3
                    reader.last.append(fields[3])
            case "OBR":
                reader.order(_split(line, sign))
            case "ORC":
                reader.common_order(_split(line, sign))
            case "SPM":
                reader.specimen(_split(line, sign))
            case "PID":
                reader.person(line.split(sign))
            case _:
                pass
    return reader.persons
