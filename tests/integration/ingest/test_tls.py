"""MLLP over TLS, with and without a client certificate, as an outsider reaches it."""

import shutil
import socket
import ssl
import subprocess
from pathlib import Path

import pytest

from tests.integration.ingest.conftest import MakeSystem
from tests.integration.ingest.test_ingest import a_message
from tests.support.messages import frame
from tests.support.processes import free_port
from tests.support.system import HOST

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="the openssl command makes the certificates")


def a_certificate(folder: Path, name: str) -> tuple[Path, Path]:
    certificate, key = folder / f"{name}.pem", folder / f"{name}.key"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
         "-subj", f"/CN={name}", "-addext", "subjectAltName=IP:127.0.0.1", "-out", certificate, "-keyout", key],
        check=True, capture_output=True, timeout=30,
    )  # fmt: skip
    return certificate, key


def ask(port: int, server: Path, client: tuple[Path, Path] | None) -> bytes:
    context = ssl.create_default_context(cafile=str(server))
    if client is not None:
        context.load_cert_chain(*client)
    with (
        socket.create_connection((HOST, port), timeout=10) as plain,
        context.wrap_socket(plain, server_hostname=HOST) as laboratory,
    ):
        laboratory.sendall(frame(a_message()))
        received = b""
        while not received.endswith(b"\x1c\r") and (chunk := laboratory.recv(65_536)):
            received += chunk
    if not received:  # TLS 1.3 tells a client without a certificate only after it has written
        raise ConnectionError("closed without an answer")
    return received


def test_only_a_known_client_is_answered_over_tls(
    make_system: MakeSystem, kafka_bootstrap: str, tmp_path: Path
) -> None:
    server, server_key = a_certificate(tmp_path, "server")
    client, client_key = a_certificate(tmp_path, "client")
    port = free_port()
    system = make_system(kafka_bootstrap)
    system.ingest.env |= {
        "INGEST_MLLP_TLS_PORT": str(port),
        "INGEST_TLS_CERTFILE": str(server),
        "INGEST_TLS_KEYFILE": str(server_key),
        "INGEST_TLS_CLIENT_CAFILE": str(client),
    }
    system.apply_topics()
    system.ingest.start()
    system.ingest.wait_ready()

    assert b"MSA|AA|C1" in ask(port, server, (client, client_key))
    with pytest.raises((ssl.SSLError, ConnectionError)):
        ask(port, server, None)
