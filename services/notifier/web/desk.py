"""What the pages work with: the store, the site as it stands, the words, and what a click sets going."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from sqlalchemy import Engine

from services.common.clock import Now
from services.notifier.adapters.templates import Letters
from services.notifier.domain.values import PersonId
from services.notifier.rulebook.site import Site
from services.notifier.store.acting import Acting, Topics
from services.notifier.web.session import Signer


@dataclass(frozen=True, slots=True)
class Desk:
    """The surroundings of every page. `acted` is called after each transaction that has something to publish."""

    engine: Engine
    now: Now
    site: Callable[[], Site]
    topics: Topics
    key: bytes = field(repr=False)
    letters: Letters
    acted: Callable[[Acting], None]
    secure_cookies: bool = False
    """Whether people reach the pages by https only."""

    @property
    def signer(self) -> Signer:
        """Return the maker of cookies and form tokens."""
        return Signer(self.key)

    def name_of(self, person_id: str | None) -> str:
        """Return a person's name; one who has left the site's files keeps the id."""
        return "" if person_id is None else self.site().directory.names.get(PersonId(person_id), person_id)

    @contextmanager
    def acting(self) -> Iterator[Acting]:
        """Open a transaction in which people act; what it publishes is sent at once."""
        with self.engine.begin() as db:
            acting = Acting(db, self.site(), self.topics, self.key, self.now())
            yield acting
        self.acted(acting)
