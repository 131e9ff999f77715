"""Names of things that are said: hashes of natural keys, so that a replay makes nothing new.

Law: never a counter, never a random number.
"""

import hashlib

LENGTH = 32


def name_of(*parts: str) -> str:
    """Return the id of the thing with this natural key, 32 hex digits of a SHA-256 over length-prefixed parts."""
    text = "\x1f".join(f"{len(part)}:{part}" for part in parts)
    return hashlib.sha256(text.encode()).hexdigest()[:LENGTH]
