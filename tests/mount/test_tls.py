# SPDX-License-Identifier: MIT
"""Connections of TLS: what is asked for with them, and what that does to sessions."""
import contextlib
import os
import ssl

import pytest

from azurite import make_certificate
from conftest import APP, FAILURE
from filehost import FileHost
from mount import Reader
from tls import TlsRelay

KIB = 1 << 10
SIZE = 12 << 20
WINDOW = 10 * 1460  # bytes of a new connection's first round trip (RFC 6928)
SHORT = 4096 + 256  # the longest record that was asked for, and most that encryption adds (RFC 8446 5.2)

versions = pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=["1.2", "1.3"])


@pytest.fixture(name="serve")
def fixture_serve(emulator, mount, tmp_path):
    """CABs of so many bytes behind TLS: their paths, the bytes of each, the relay."""
    certificate = make_certificate(tmp_path, "host")
    truth = os.urandom(SIZE)
    file = tmp_path / "blob"
    file.write_bytes(truth)
    with contextlib.ExitStack() as stack:
        def serve(count, version, **options):
            host = stack.enter_context(FileHost())
            relay = stack.enter_context(TlsRelay(int(host.name.partition(":")[2]), certificate, version, **options))
            url = host.add(file).replace(f"http://{host.name}", f"https://{relay.name}")
            cabs = emulator.add_cabs(APP, FAILURE, count=count, url=url)
            mounted = mount(blob_hosts=relay.name, ca_file=certificate[0], sizes="lazy")
            return [mounted.path / APP / FAILURE / f"{cab}.cab" for cab in cabs], truth, relay

        yield serve


@versions
def test_first_bytes_come_in_the_first_round_trip(serve, version):
    """Of a host that fills its records: they end where a reader can use them."""
    [path], truth, relay = serve(1, version, window=WINDOW)
    os.listdir(path.parent)
    descriptor = Reader(os.open, path, os.O_RDONLY).get(30)
    try:
        assert Reader(os.pread, descriptor, 8 * KIB, 0).get(30) == truth[:8 * KIB]
        assert len(relay.connections) == 1 and relay.connections[0].longest <= SHORT
        rest = Reader(os.pread, descriptor, 100 * KIB, 0)
        relay.open_window()
        assert rest.get(30) == truth[:100 * KIB]
    finally:
        relay.open_window()
        os.close(descriptor)


@versions
def test_sessions_of_long_and_short_records_do_not_mix(serve, version):
    """To resume a session with records of another length is an error: RFC 6066, section 4."""
    paths, truth, relay = serve(4, version)
    for path in paths:
        assert path.read_bytes() == truth
        relay.drop()  # so that the next one makes new connections
    assert [connection.error for connection in relay.connections if connection.error] == []
    short = [connection.resumed for connection in relay.connections if connection.longest <= SHORT]
    long = [connection.resumed for connection in relay.connections if connection.longest > SHORT]
    assert len(short) >= len(paths) and not any(short)
    assert any(long)
