"""A certificate for the tool where it is a server with TLS. Knows the `openssl` program, no tests."""

import shutil
from dataclasses import dataclass
from pathlib import Path

from .children import finish
from .trouble import Trouble

SECONDS = 60.0


@dataclass(frozen=True)
class Identity:
    """A certificate and its key, in PEM files."""

    cert: Path
    key: Path

    def spec(self):
        """What a specification of the official tool says of them."""
        return {"cert": str(self.cert), "key": str(self.key)}


async def self_signed(directory):
    """Makes a certificate for this machine, which is its own issuer."""
    if shutil.which("openssl") is None:
        raise Trouble("--tls --client needs the program `openssl`, which makes the certificate of the tool")
    identity = Identity(directory / "cert.pem", directory / "key.pem")
    words = ["openssl", "req", "-x509", "-nodes", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]
    words += ["-days", "30", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
    # Without it the program makes it an authority's, which is not for servers.
    words += ["-addext", "basicConstraints=critical,CA:FALSE", "-keyout", identity.key, "-out", identity.cert]
    await finish(words, directory / "openssl.log", SECONDS)
    return identity
