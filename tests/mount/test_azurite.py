# SPDX-License-Identifier: MIT
"""CABs on a second, independent blob host: the emulator lists them, Azurite has the bytes.

Where Azurite cannot be installed the tests are skipped, or fail if CABFS_REQUIRE_AZURITE is 1.
"""
import errno
import os
import random
import subprocess
import time
import uuid

import pytest

import azurite as service
from conftest import APP, FAILURE
from mount import BUILD, read_at, tool, xattrs

PAYLOADS = BUILD / "tests/emulator"
DATE = int(time.time()) // 3600 * 3600 - 86400
LIFE = 3600
MIB = 1 << 20


@pytest.fixture(scope="module")
def program():
    try:
        return service.install(BUILD / "azurite")
    except service.NotInstalled as problem:
        if os.environ.get("CABFS_REQUIRE_AZURITE") == "1":
            pytest.fail(f"Azurite is not installed: {problem}", pytrace=False)
        pytest.skip(f"Azurite is not installed: {problem}")


@pytest.fixture(scope="module", params=["http", "https"])
def azurite(request, program, tmp_path_factory):
    directory = tmp_path_factory.mktemp("azurite")
    certificate = service.make_certificate(directory, "azurite") if request.param == "https" else None
    with service.Azurite(program, directory, certificate) as azurite:
        yield azurite


class Cabs:
    """CABs that the emulator lists at Azurite's addresses; `all` is {name: (blob, content, date)}."""

    def __init__(self, emulator, azurite):
        self.emulator, self.azurite = emulator, azurite
        self.all = {}

    def add(self, content, life=LIFE, broken=False):
        """The id of a new one.  @content None: it is listed, but there is no such blob."""
        cab = str(uuid.uuid4())
        blob = f"kernel-20260102/{cab}.ext.zip"
        date = DATE - len(self.all) * 61
        if content is not None:
            self.azurite.put(blob, content)
        self.all[cab] = (blob, content, date)
        self.emulator.add_cabs(APP, FAILURE, ids=[cab], date=date, url=self.sign(cab, life, broken))
        return cab

    def sign(self, cab, life=LIFE, broken=False):
        return self.azurite.sign(self.all[cab][0], time.time() + life, broken)

    def renew(self, cab):
        """From now on the services give an address that is good."""
        self.emulator.change_cab(cab, url=self.sign(cab))

    def seen(self, cab):
        """How often Azurite was asked for its blob."""
        return self.azurite.seen(self.all[cab][0])


@pytest.fixture
def cabs(emulator, azurite):
    return Cabs(emulator, azurite)


@pytest.fixture
def azurite_mount(mount, azurite):
    """mount() with Azurite as the one blob host that is allowed."""
    def make(**options):
        if azurite.certificate is not None:
            options.setdefault("ca_file", azurite.certificate[0])
        return mount(**{"blob_hosts": azurite.host, **options})
    return make


def path_of(mounted, cab):
    return mounted.path / APP / FAILURE / f"{cab}.cab"


def content_of(size, seed=1):
    return random.Random(seed).randbytes(size)


def errno_of(call, *args):
    with pytest.raises(OSError) as caught:
        call(*args)
    return caught.value.errno


def has_line(mounted, *words):
    return any(all(word in line for word in words) for line in mounted.log().splitlines())


# --- what is read -----------------------------------------------------------------------------------------------

def test_copy(cabs, azurite_mount, directory):
    """Names, sizes, mtimes and bytes of cabinets and of files of any size; what is here is not asked for again."""
    cabinets = [cabs.add(path.read_bytes()) for path in sorted(PAYLOADS.glob("*-*.cab"))]
    assert len(cabinets) >= 10, f"the cabinets are not in {PAYLOADS}"
    for size in (0, 1, 300 * 1024, 20 * MIB):
        cabs.add(content_of(size))
    mounted = azurite_mount()
    folder = mounted.path / APP / FAILURE
    assert sorted(os.listdir(folder)) == sorted(f"{cab}.cab" for cab in cabs.all)
    copy = directory / "copy"
    subprocess.run(["cp", "-r", "--preserve=timestamps", folder, copy], check=True, timeout=120)
    for cab, (_, content, date) in cabs.all.items():
        for place in (folder, copy):
            status = os.stat(place / f"{cab}.cab")
            assert (status.st_size, status.st_mtime) == (len(content), date)
        assert (copy / f"{cab}.cab").read_bytes() == content
    before = [cabs.seen(cab) for cab in cabs.all]
    assert min(before) >= 1
    for cab in cabinets:
        subprocess.run([tool("cabextract"), "-q", "-t", path_of(mounted, cab)], check=True, timeout=60)
    assert [cabs.seen(cab) for cab in cabs.all] == before


def test_attributes(cabs, azurite, azurite_mount):
    """ETag and MD5 are the ones that Azurite tells."""
    content = content_of(5000)
    cab = cabs.add(content)
    mounted = azurite_mount()
    assert path_of(mounted, cab).read_bytes() == content
    told = azurite.head(cabs.sign(cab))
    shown = xattrs(path_of(mounted, cab))
    assert shown["state"] == "cached"
    assert shown["etag"] == told["ETag"]
    assert shown["md5"] == service.hex_md5(told["Content-MD5"])


def test_ranges(cabs, azurite_mount):
    """Reads at random places are right, also at both ends and past the end; the whole is not fetched for them."""
    content = content_of(64 * MIB)
    cab = cabs.add(content)
    mounted = azurite_mount()
    size = len(content)
    places = random.Random(2)
    spots = [(places.randrange(size), places.choice((1, 4096, 65536))) for _ in range(20)]
    spots += [(0, 16), (size - 1, 1), (size - 100, 4096), (size, 1)]
    for off, length in spots:
        assert read_at(path_of(mounted, cab), off, length) == content[off:off + length], (off, length)
    assert os.stat(path_of(mounted, cab)).st_blocks * 512 < size
    assert xattrs(path_of(mounted, cab))["state"] == "partial"


def test_overwritten(cabs, azurite, azurite_mount):
    """A blob that becomes another under a reader: ESTALE, never mixed bytes; who opens it then gets the new one."""
    old, new = content_of(20 * MIB, seed=1), content_of(20 * MIB, seed=2)
    cab = cabs.add(old)
    mounted = azurite_mount(read_ahead="1M")
    with open(path_of(mounted, cab), "rb", buffering=0) as file:
        assert file.read(4096) == old[:4096]
        azurite.put(cabs.all[cab][0], new)
        assert errno_of(os.pread, file.fileno(), 4096, 15 * MIB) == errno.ESTALE
    assert path_of(mounted, cab).read_bytes() == new


# --- addresses --------------------------------------------------------------------------------------------------

def test_expired_in_list(cabs, emulator, azurite_mount):
    """An address that ran out since the CAB was listed is not even tried."""
    content = content_of(100_000)
    cab = cabs.add(content, life=-60)
    mounted = azurite_mount(sizes="lazy")
    assert os.listdir(mounted.path / APP / FAILURE) == [f"{cab}.cab"]
    emulator.reset_counters()
    cabs.renew(cab)
    assert path_of(mounted, cab).read_bytes() == content
    asked = emulator.counters(cabs=False)["endpoints"]
    assert asked["batch"]["requests"] + asked["cabdownload"]["requests"] == 1
    assert cabs.seen(cab) == 1


def test_expired_while_open(cabs, azurite, azurite_mount):
    """An address that runs out between two reads of an open file is renewed."""
    content = content_of(20 * MIB)
    cab = cabs.add(content, life=3)
    address = cabs.sign(cab, life=3)
    mounted = azurite_mount(read_ahead="1M")
    with open(path_of(mounted, cab), "rb", buffering=0) as file:
        assert file.read(4096) == content[:4096]
        cabs.renew(cab)
        deadline = time.monotonic() + 30
        while azurite.status(address) != 403:
            assert time.monotonic() < deadline, "the address does not run out"
            time.sleep(0.1)  # time passes no other way
        assert os.pread(file.fileno(), 4096, 15 * MIB) == content[15 * MIB:15 * MIB + 4096]


def test_refused(cabs, azurite_mount):
    """An address with a wrong signature: EACCES after one request, and the log says what Azurite said.  (It says what
    Azure says where the network is not allowed, so no other address would help.)"""
    cab = cabs.add(content_of(1000), broken=True)
    mounted = azurite_mount(sizes="lazy")
    assert errno_of(read_at, path_of(mounted, cab), 0, 1) == errno.EACCES
    assert cabs.seen(cab) == 1
    assert has_line(mounted, cab, "HTTP status 403", "AuthorizationFailure")


def test_gone(cabs, azurite_mount):
    """A CAB that is listed but whose blob is gone."""
    cab = cabs.add(None)
    mounted = azurite_mount(sizes="lazy")
    assert errno_of(read_at, path_of(mounted, cab), 0, 1) == errno.ENOENT


# --- hosts ------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("hosts", ["*.blob.core.windows.net", "localhost", "127.0.0.1:1"])
def test_host_not_allowed(cabs, azurite, azurite_mount, hosts):
    """A host that `blob-hosts` does not name hears nothing; the log names it."""
    cab = cabs.add(content_of(10))
    mounted = azurite_mount(blob_hosts=hosts, sizes="lazy")
    assert errno_of(read_at, path_of(mounted, cab), 0, 1) == errno.EACCES
    assert cabs.seen(cab) == 0
    assert has_line(mounted, azurite.host, "blob-hosts")


@pytest.mark.parametrize("azurite", ["https"], indirect=True)
@pytest.mark.parametrize("trust", ["other", "system"])
def test_certificate_not_trusted(cabs, azurite, azurite_mount, directory, trust):
    """https with a certificate that `ca-file` does not vouch for: EACCES, the log names host and reason."""
    ca_file = service.make_certificate(directory, "other")[0] if trust == "other" else None
    cab = cabs.add(content_of(10))
    mounted = azurite_mount(ca_file=ca_file, sizes="lazy")
    assert errno_of(read_at, path_of(mounted, cab), 0, 1) == errno.EACCES
    assert cabs.seen(cab) == 0
    assert has_line(mounted, azurite.host, "certificate")
