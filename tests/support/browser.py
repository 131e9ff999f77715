"""Reads forms out of a page and fills them in, as a person with a browser does; links out of a mail."""

import re
from dataclasses import dataclass, field
from html.parser import HTMLParser
from urllib.parse import urljoin

import httpx

from tests.support.mailbox import Mail

LINK = re.compile(r"https?://[^\s<>\"']+")


@dataclass(slots=True)
class Form:
    """One form: where it goes and what stands in its fields."""

    action: str
    method: str
    fields: dict[str, str] = field(default_factory=dict)


class _Forms(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.forms: list[Form] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        if tag == "form":
            self.forms.append(Form(values.get("action", ""), values.get("method", "get").lower()))
        elif tag in {"input", "select", "textarea", "button"} and self.forms and values.get("name"):
            kind = values.get("type", "")
            if kind not in {"checkbox", "radio"} or "checked" in values:
                self.forms[-1].fields.setdefault(values["name"], values.get("value", ""))


def forms(page: httpx.Response) -> list[Form]:
    """Return the forms of a page, in their order."""
    parser = _Forms()
    parser.feed(page.text)
    return parser.forms


def press(client: httpx.Client, page: httpx.Response, *, containing: str = "", **filled: str) -> httpx.Response:
    """Send the page's first POST form whose action holds `containing`. Raises LookupError where there is none."""
    for form in forms(page):
        if form.method == "post" and containing in form.action:
            headers = {"Origin": f"{page.url.scheme}://{page.url.netloc.decode()}", "Referer": str(page.url)}
            target = urljoin(str(page.url), form.action)
            return client.post(target, data=form.fields | filled, headers=headers)
    message = f"no form to press on {page.url.path}: {page.text[:500]}"
    raise LookupError(message)


def links(mail: Mail) -> list[str]:
    """Return the addresses that stand in the mail's plain text."""
    return [found.rstrip(".,)") for found in LINK.findall(mail.text)]
