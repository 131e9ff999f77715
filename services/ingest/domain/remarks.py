"""Notes and text results → remarks. Law: the text itself goes no further than this module.

Haemolysis raises ferritin, AST, LDH and potassium; a clotted or short sample lowers counts. A note that denies it says
nothing.
"""

import re
from functools import lru_cache

from services.ingest.domain.values import Remark

_WORDS: tuple[tuple[Remark, str], ...] = (
    (Remark.HAEMOLYSED, r"ha?emoly[sz]\w*|^\s*HEM\s*$|溶血"),
    (Remark.LIPAEMIC, r"lipa?emi\w*|^\s*LIP\s*$|脂血|乳糜|脂浊"),
    (Remark.ICTERIC, r"icter\w*|jaundiced|黄疸|黄染"),
    (Remark.CLOTTED, r"clotted|\bclots?\b|coagulated|凝块|凝固|有凝|\bCLOT\b"),
    (
        Remark.INSUFFICIENT,
        r"insufficient|\bQNS\b|quantity not suff|标本量不足|样本量不足|标本不足|样本不足|量少|血量不足",
    ),
)
_DENIED_BEFORE = (
    r"(?:\b(?:no|not|non|nil|without|negative for|free of|un)\b[\s-]*(?:\w+\s+){0,2}|\b(?:un|non)-?|"
    r"未见|无明显|无|非|未发生|没有)\s*"
)
_DENIED_AFTER = r"(?:\s*index)?[\s:=]*(?:none|nil|absent|negative|not\b|-|\(-\)|阴性|无|0\b)"
_PATTERNS = tuple(
    (remark, re.compile(rf"({_DENIED_BEFORE})?(?:{words})(?P<after>{_DENIED_AFTER})?", re.IGNORECASE))
    for remark, words in _WORDS
)


@lru_cache(maxsize=4096)
def remarks_in(text: str) -> tuple[Remark, ...]:
    """Return the remarks a free text makes, in the order of their names."""
    return tuple(remark for remark, pattern in _PATTERNS if any(_affirmed(match) for match in pattern.finditer(text)))


def _affirmed(match: re.Match[str]) -> bool:
    return match.group(1) is None and match.group("after") is None
