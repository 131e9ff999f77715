"""Laws are about answers, never about time: a busy machine must not fail one."""

from hypothesis import settings

settings.register_profile("detector-laws", deadline=None, max_examples=60)
settings.load_profile("detector-laws")
