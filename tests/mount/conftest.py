# SPDX-License-Identifier: MIT
import contextlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

from emulator import Emulator
from mount import Mount, is_mounted

APP = "13984104677400476"
OTHER_APP = "14208311096254871"
FAILURE = "1fd83f6d-9fe0-96ec-2c47-ef08b65ccbed"
OTHER_FAILURE = "0137ef52-e26b-b482-dbcb-6aa06d49a218"


@pytest.fixture
def emulator():
    """A Partner Center without data."""
    with Emulator() as emulator:
        yield emulator
        assert emulator.counters(cabs=False)["authorizationAtBlob"] == 0, "a token reached a blob host"


@pytest.fixture
def directory():
    """A directory on disk that is gone afterwards, unless CABFS_TEST_KEEP is 1."""
    place = Path(tempfile.mkdtemp(prefix="cabfs-test-", dir=os.environ.get("CABFS_TEST_DIR")))
    yield place
    assert not is_mounted(place / "mnt"), "the test left a mount behind"
    if os.environ.get("CABFS_TEST_KEEP") != "1":
        subprocess.run(["chmod", "-R", "u+w", place], check=True)  # copies of a mount are read-only too
        shutil.rmtree(place)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item):
    """The end of the mounts' logs goes into the report of a test that failed."""
    report = (yield).get_result()
    directory = item.funcargs.get("directory")
    if report.failed and directory is not None:
        for log in (directory / "cabfs.log", *directory.glob("mount-*/cabfs.log")):
            if log.exists():
                lines = log.read_text(errors="replace").splitlines()[-60:]
                report.sections.append((f"end of {log}", "\n".join(lines)))


@pytest.fixture
def mount(emulator, directory):
    """mount(**options) mounts, once or more in a test; the mounts are taken away at its end."""
    mounts = []

    def make(**options):
        options.setdefault("driver", [APP])
        place = directory if not mounts else directory / f"mount-{len(mounts)}"
        mounts.append(Mount(emulator, place, **options).mount())
        return mounts[-1]

    with contextlib.ExitStack() as stack:
        yield make
        for item in mounts:
            stack.callback(item.close)
