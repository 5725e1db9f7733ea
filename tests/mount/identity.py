# SPDX-License-Identifier: MIT
"""Certificates and client assertions for tests, made by the program openssl."""
import base64
import hashlib
import json
import os
import shutil
import subprocess
import time
import uuid


def openssl(*arguments, data=None):
    program = shutil.which("openssl")
    assert program is not None, "openssl is not installed"
    return subprocess.run([program, *arguments], input=data, check=True, stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL, timeout=120).stdout


class Identity:
    """A key with its certificate, in files below @directory.  @days may be negative: it has expired."""

    def __init__(self, directory, name="identity", *, days=30, kind=("rsa:2048",)):
        self.key_file, request, place = (directory / f"{name}.{suffix}" for suffix in ("key", "csr", "crt"))
        openssl("req", "-newkey", *kind, "-nodes", "-subj", f"/CN={name}", "-keyout", self.key_file, "-out", request)
        openssl("x509", "-req", "-days", str(days), "-in", request, "-signkey", self.key_file, "-out", place)
        self.certificate, self.key = place.read_text(), self.key_file.read_text()
        self.der = openssl("x509", "-in", place, "-outform", "der")
        for path in (request, place):
            path.unlink()

    def install(self, path, *, mode=0o600):
        """Puts certificate and key into @path, at once."""
        new = path.with_suffix(".new")
        new.touch(mode=0o600)
        new.write_text(self.certificate + self.key)
        new.chmod(mode)
        os.replace(new, path)

    def secrets(self):
        """Lines of the key that must be nowhere else."""
        return [line for line in self.key.splitlines() if len(line) == 64]

    def sign(self, text):
        return openssl("dgst", "-sha256", "-sign", self.key_file, data=text.encode())

    def assertion(self, audience, client, *, header=None, **claims):
        """A good one, but for what is given; None leaves a member out."""
        now = int(time.time())
        head = {"alg": "RS256", "typ": "JWT", "x5t": encode(hashlib.sha1(self.der).digest()),
                "x5t#S256": encode(hashlib.sha256(self.der).digest()), **(header or {})}
        body = {"aud": audience, "iss": client, "sub": client, "jti": str(uuid.uuid4()), "nbf": now, "exp": now + 300,
                **claims}
        parts = [encode(json.dumps({k: v for k, v in part.items() if v is not None}).encode()) for part in (head, body)]
        return ".".join((*parts, encode(self.sign(".".join(parts)))))


def encode(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
