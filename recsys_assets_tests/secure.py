"""TLS in front of the test servers, whose wheels are built without it: a CA of our own, and doors that speak it."""

import asyncio
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

_SSL_REQUEST = (80877103).to_bytes(4, "big")  # what libpq asks first: may we speak TLS?


@dataclass(frozen=True)
class Authority:
    """A CA: the file that clients trust, and the chain and key of a server that it has vouched for."""

    ca: Path
    chain: Path

    @property
    def context(self) -> ssl.SSLContext:
        made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        made.load_cert_chain(self.chain)
        return made


def authority(folder: Path, host: str = "127.0.0.1") -> Authority:
    """A new CA, and a server's certificate for ``host``."""
    folder.mkdir(parents=True)
    ca_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    ca_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"a CA of {folder.name}")])
    ca = _signed(ca_name, ca_name, ca_key.public_key(), ca_key, ca_key.public_key(), None)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a server")])
    server = _signed(name, ca_name, key.public_key(), ca_key, ca_key.public_key(), host)
    made = Authority(folder / "ca.pem", folder / "server.pem")
    made.ca.write_bytes(ca.public_bytes(serialization.Encoding.PEM))
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    made.chain.write_bytes(private + server.public_bytes(serialization.Encoding.PEM))
    return made


def _signed(
    name: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePublicKey,
    by: ec.EllipticCurvePrivateKey,
    by_public: ec.EllipticCurvePublicKey,
    host: str | None,
) -> x509.Certificate:
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(1))
        .not_valid_after(now + timedelta(1))
        .add_extension(x509.BasicConstraints(ca=host is None, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(by_public), critical=False)
    )
    if host is None:
        usage = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
        made = made.add_extension(usage, critical=True)
    else:
        made = made.add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address(host))]), critical=False)
    return made.sign(by, hashes.SHA256())


class SecureDoor:
    """A TCP port that speaks TLS with whoever comes, and plainly with the server behind it."""

    def __init__(self, target: int, context: ssl.SSLContext, *, asked_first: bool) -> None:
        self._target, self._context, self._asked_first = target, context, asked_first
        self.secured = 0  # connections whose handshake went well
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        self._server = asyncio.run_coroutine_threadsafe(asyncio.start_server(self._meet, "127.0.0.1", 0), self._loop)
        self.port: int = self._server.result().sockets[0].getsockname()[1]

    def remove(self) -> None:
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _end(self) -> None:
        self._server.result().close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    async def _meet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.IncompleteReadError):  # who comes does not trust us, or speaks no TLS
            if self._asked_first:
                if (await reader.readexactly(8))[4:] != _SSL_REQUEST:
                    writer.close()
                    return
                writer.write(b"S")
                await writer.drain()
            await writer.start_tls(self._context)
            self.secured += 1
            inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", self._target)
            await asyncio.gather(_pump(reader, inner_writer), _pump(inner_reader, writer))
        writer.close()


async def _pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    try:
        while data := await source.read(65_536):
            sink.write(data)
            await sink.drain()
    finally:
        sink.close()


@contextmanager
def secure_door(url: str, given: Authority) -> Iterator[tuple[SecureDoor, str]]:
    """A TLS door before the server of a URL, and the URL through it; it asks for TLS, and names no CA yet."""
    head, _, rest = url.replace("redis://", "rediss://").rpartition("@127.0.0.1:")
    port, _, path = rest.partition("/")
    made = SecureDoor(int(port), given.context, asked_first=url.startswith("postgresql"))
    try:
        yield made, f"{head}@127.0.0.1:{made.port}/{path}"
    finally:
        made.remove()


def trusting(url: str, given: Authority) -> str:
    """The URL, verified by a CA."""
    postgres = url.startswith("postgresql")
    return url + (f"?sslmode=verify-full&sslrootcert={given.ca}" if postgres else f"?ssl_ca_certs={given.ca}")
