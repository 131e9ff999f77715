"""Names that are the same wherever and whenever they are made: hashes of natural keys.

Law: never a random number, never a counter. The site key keeps a patient's ref from being guessed from an MRN.
"""

import hashlib
import hmac

CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
REF_BITS = 65
REF_GROUPS = ((0, 4), (4, 8), (8, 13))
_SEPARATOR = b"\x1f"


def _joined(parts: tuple[str, ...]) -> bytes:
    """Length before text: no two lists of parts give the same bytes."""
    return _SEPARATOR.join(f"{len(part)}:{part}".encode() for part in parts)


def patient_ref(site_key: bytes, authority: str, mrn: str) -> str:
    """Return the patient's ref, such as `K7QF-2M9X-RT4BD`: 65 bits of an HMAC-SHA256, Crockford base 32."""
    digest = hmac.digest(site_key, _joined(("patient", authority, mrn)), "sha256")
    number = int.from_bytes(digest[:9], "big") >> (72 - REF_BITS)
    text = "".join(CROCKFORD[(number >> shift) & 31] for shift in range(REF_BITS - 5, -1, -5))
    return "-".join(text[start:end] for start, end in REF_GROUPS)


def keyed_token(site_key: bytes, kind: str, text: str) -> str:
    """Return a token by which two sides can compare `text` without carrying it, 32 hex digits."""
    return hmac.digest(site_key, _joined(("token", kind, text)), "sha256").hex()[:32]


def stable_id(*parts: str, length: int = 32) -> str:
    """Return the id of a thing with this natural key, `length` hex digits of a SHA-256."""
    return hashlib.sha256(_joined(parts)).hexdigest()[:length]
