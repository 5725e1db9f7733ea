# SPDX-License-Identifier: MIT
"""An API that speaks HTTP/2, by one connection for all."""
import os
import subprocess
from pathlib import Path

import pytest

from azurite import make_certificate
from conftest import APP
from mount import errno_of

FRONT = Path(__file__).with_name("http2_front.js")
TIMEOUT = 3


class Front:
    """The emulator's API by HTTP/2 only."""

    def __init__(self, url, certificate):
        clean = {name: value for name, value in os.environ.items() if "LD_PRELOAD" not in name}
        self.process = subprocess.Popen(["node", FRONT, certificate[1], certificate[0], url], env=clean, text=True,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.url = f"https://127.0.0.1:{int(self.process.stdout.readline())}"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.communicate()

    def lose(self):
        """The connections that there are."""
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        assert self.process.stdout.readline() == "lost\n"


@pytest.fixture(name="front")
def fixture_front(emulator, tmp_path):
    certificate = make_certificate(tmp_path, "api")
    with Front(emulator.api, certificate) as front:
        front.ca_file = certificate[0]
        yield front


def test_lost_connection(emulator, mount, front):
    """One that says no more costs those who wait for it their time, and nobody after them. [E9]"""
    failures = [f"1fd83f6d-9fe0-96ec-2c47-{number:012}" for number in range(4)]
    for failure in failures:
        emulator.add_cabs(APP, failure)
    m = mount(api_url=front.url, ca_file=front.ca_file, timeout=TIMEOUT)
    assert len(os.listdir(m.path / APP / failures[0])) == 1
    front.lose()
    assert errno_of(os.listdir, m.path / APP / failures[1]) in ("ETIMEDOUT", None)
    for failure in failures[2:]:
        assert len(os.listdir(m.path / APP / failure)) == 1
