"""The mail page shows mails as their readers see them and runs nothing that stands in one."""

from email.message import EmailMessage

import httpx
import pytest

from deploy.demo.mail_page import MailPage, listing, one, with_pictures
from tests.support.mailbox import Mail, Mailbox
from tests.support.processes import free_port


def a_mail(subject: str = "铁蛋白", html: str = '<p>hello <img src="cid:trend"></p>') -> Mail:
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = "irae@example.org", "li@example.org", subject
    message.set_content("plain words")
    message.add_alternative(html, subtype="html")
    part = message.get_body(preferencelist=("html",))
    assert part is not None
    part.add_related(b"\x89PNG", "image", "png", cid="<trend>")
    return Mail("irae@example.org", ("li@example.org",), message, 0.0)


def test_the_newest_mail_stands_first_and_subjects_are_text() -> None:
    page = listing((a_mail("first"), a_mail("<script>alert(1)</script>")))
    assert page.index("&lt;script&gt;") < page.index(">first<")
    assert "<script>" not in page


def test_inline_pictures_stand_where_their_content_ids_were() -> None:
    assert 'src="data:image/png;base64,iVBORw=="' in with_pictures(a_mail())


def test_the_html_of_a_mail_is_shown_in_a_frame_without_scripts() -> None:
    page = one(a_mail(html="<script>alert(1)</script>"))
    assert '<iframe sandbox srcdoc="&lt;script&gt;' in page
    assert "plain words" in page


@pytest.mark.parametrize(
    ("path", "status"),
    [
        pytest.param("/", 200, id="the list"),
        pytest.param("/0", 200, id="a mail"),
        pytest.param("/7", 404, id="a mail that never came"),
        pytest.param("/../secret", 404, id="somewhere else"),
    ],
)
def test_the_page_answers_on_loopback(path: str, status: int) -> None:
    mailbox = Mailbox()
    mailbox.add(a_mail())
    page = MailPage(port := free_port(), mailbox)
    page.start()
    try:
        answer = httpx.get(f"http://127.0.0.1:{port}{path}", trust_env=False)
    finally:
        page.stop()
    assert answer.status_code == status
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
