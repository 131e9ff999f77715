"""A tiny page that lists what the demo's mail server has taken, and shows each mail as its reader sees it."""

import base64
import html
import threading
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from tests.support.mailbox import Mail, Mailbox

PAGE = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Mail sink</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>body{{font:1rem/1.5 system-ui,sans-serif;margin:2rem auto;max-width:60rem;padding:0 1rem}}
table{{border-collapse:collapse;width:100%}}td,th{{text-align:left;padding:.3rem .6rem;border-bottom:1px solid #ccc}}
pre{{white-space:pre-wrap;background:#f4f4f4;padding:1rem}}
iframe{{width:100%;height:40rem;border:1px solid #ccc}}</style>
</head><body>{body}</body></html>"""
POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-src 'self'"


class MailPage:
    """Serves the page on loopback. Mails are shown in a frame without scripts and without a way out."""

    def __init__(self, port: int, mailbox: Mailbox) -> None:
        self._server = ThreadingHTTPServer(("127.0.0.1", port), _handler(mailbox))
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, name="mail page", daemon=True)

    def start(self) -> None:
        """Begin to answer."""
        self._thread.start()

    def stop(self) -> None:
        """Stop answering."""
        self._server.shutdown()
        self._server.server_close()


def listing(mails: tuple[Mail, ...]) -> str:
    """Return the list, newest first."""
    rows = "".join(
        f"<tr><td>{number + 1}</td><td>{html.escape(', '.join(mail.recipients))}</td>"
        f'<td><a href="/{number}">{html.escape(mail.subject) or "(no subject)"}</a></td></tr>'
        for number, mail in reversed(list(enumerate(mails)))
    )
    body = f"<h1>{len(mails)} mails</h1><table><tr><th>#</th><th>To</th><th>Subject</th></tr>{rows}</table>"
    return PAGE.format(body=body)


def one(mail: Mail) -> str:
    """Return one mail: what matters of its head, the plain text, and the HTML in a frame."""
    heads = "".join(
        f"<tr><th>{name}</th><td>{html.escape(str(mail.message[name] or ''))}</td></tr>"
        for name in ("From", "To", "Subject", "Date", "Message-ID", "In-Reply-To")
    )
    frame = f'<h2>HTML</h2><iframe sandbox srcdoc="{html.escape(with_pictures(mail))}"></iframe>' if mail.html else ""
    body = (
        f'<p><a href="/">all mails</a></p><table>{heads}</table><h2>Text</h2><pre>{html.escape(mail.text)}</pre>{frame}'
    )
    return PAGE.format(body=body)


def with_pictures(mail: Mail) -> str:
    """Return the HTML with inline pictures in place of their content ids."""
    text = mail.html
    for part in mail.message.walk():
        name, content = part["Content-ID"], part.get_payload(decode=True)
        if name and isinstance(content, bytes):
            picture = f"data:{part.get_content_type()};base64,{base64.b64encode(content).decode()}"
            text = text.replace(f"cid:{str(name).strip('<>')}", picture)
    return text


def _handler(mailbox: Mailbox) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            mails = mailbox.mails
            name = self.path.strip("/")
            if not name:
                self._answer(HTTPStatus.OK, listing(mails))
            elif name.isdigit() and int(name) < len(mails):
                self._answer(HTTPStatus.OK, one(mails[int(name)]))
            else:
                self._answer(HTTPStatus.NOT_FOUND, PAGE.format(body='<p>no such mail; <a href="/">all mails</a></p>'))

        def _answer(self, status: HTTPStatus, page: str) -> None:
            body = page.encode()
            self.send_response(status)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Content-Security-Policy", POLICY)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """The terminal is for the ward."""

    return Handler
