"""Passwords of the worklist: kept as argon2id hashes, checked one at a time."""

import getpass
import threading

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

MINIMUM_CHARACTERS = 12
_hasher = PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1)
"""OWASP's second recommendation for argon2id: 19 MiB, two passes."""

_one_at_a_time = threading.Lock()
"""A flood of sign-ins costs one hash's memory, not forty."""

NOBODY = _hasher.hash("nobody signs in with this")
"""Checked in place of an unknown person's hash, so that the answer takes equally long."""


def hash_password(password: str) -> str:
    """Return what people.toml keeps. Raises ValueError for a password that is too short."""
    if len(password) < MINIMUM_CHARACTERS:
        raise ValueError(f"a password needs at least {MINIMUM_CHARACTERS} characters")
    return _hasher.hash(password)


def is_right(password_hash: str, password: str) -> bool:
    """Tell whether this is the password of the hash."""
    with _one_at_a_time:
        try:
            return _hasher.verify(password_hash, password)
        except (VerificationError, InvalidHashError):
            return False


def ask_for_hash() -> str:
    """Ask twice on the terminal and return the line for people.toml. Raises ValueError."""
    first = getpass.getpass("New password: ")
    if first != getpass.getpass("Again: "):
        raise ValueError("the two passwords differ")
    return f'password = "{hash_password(first)}"'
