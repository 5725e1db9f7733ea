# SPDX-License-Identifier: MIT
"""user.cabfs.error: why something failed, where it failed, without a request."""
import os
import re

import pytest

from conftest import APP, FAILURE, OTHER_FAILURE
from mount import errno_of, read_at, refresh, wait_until, xattrs

LISTS = ("hits", "details", "batch")


def why(path):
    """The attribute as a dictionary; {} if there is none, which is then not listed either."""
    text = xattrs(path).get("error")
    if text is None:
        assert errno_of(os.getxattr, path, "user.cabfs.error") == "ENODATA"
        return {}
    head, message = text.split(" message=", 1)
    fields = dict(word.split("=", 1) for word in head.split(" "))
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", fields.pop("time"))
    return {**fields, "message": message}


def requests(emulator):
    return emulator.counters(cabs=False)["requests"]


@pytest.fixture
def cab(emulator):
    [cab] = emulator.add_cabs(APP, FAILURE, count=1, size=3_000_000)
    return cab


def test_read(emulator, mount, cab):
    """The read that failed, until one that had to ask the host succeeds. [E14, F10]"""
    path = mount(retries=1, read_ahead=0).path / APP / FAILURE / f"{cab}.cab"
    assert read_at(path, 0, 100) == emulator.content(cab, 0, 100)
    assert why(path) == {}
    emulator.fault("status", "blob-get", status=500)
    assert errno_of(read_at, path, 2_500_000, 100) == "EIO"
    emulator.reset_counters()
    found = why(path)
    assert {name: found[name] for name in ("errno", "operation", "status")} == \
        {"errno": "EIO", "operation": "read", "status": "500"}
    assert found["message"] and "sig=" not in found["message"]
    assert why(path.parent) == {}
    assert requests(emulator) == 0
    read_at(path, 0, 100)  # from the cache: tells nothing of the host
    assert why(path) == found
    emulator.clear_faults()
    read_at(path, 2_500_000, 100)
    assert why(path) == {}


def test_open_and_stat(emulator, mount, cab):
    """Opened at last, it was also found and measured."""
    path = mount(retries=1).path / APP / FAILURE / f"{cab}.cab"
    emulator.fault("status", ["blob-get", "blob-head"], status=503)
    assert errno_of(os.stat, path) == "EIO"
    assert why(path)["operation"] == "stat"
    assert errno_of(open, path, "rb") == "EIO"
    assert why(path)["operation"] == "open"
    emulator.clear_faults()
    with open(path, "rb"):
        assert why(path) == {}


def test_list(emulator, mount, cab):
    """Of a list that failed, the service's own words; gone with the next one that came, asked for by whomever. [E14]"""
    root = mount(retries=1).path
    folder = root / APP / FAILURE
    assert os.stat(folder)
    emulator.fault("status", list(LISTS), status=403)
    refresh(root)
    assert os.listdir(root / APP) == [FAILURE]  # it was reached by its name, so nobody is told of an error
    found = why(root / APP)
    assert found["errno"] == "EACCES" and found["operation"] == "list" and found["status"] == "403"
    assert found["correlation-id"] and found["code"]
    emulator.clear_faults()
    refresh(root)
    assert why(root / APP) == found
    os.listdir(root / APP)
    assert why(root / APP) == {}


def test_stale(emulator, mount, cab):
    """Nobody was told of an error, but the list is an old one: this is why."""
    folder = mount(retries=1).path / APP / FAILURE
    assert os.listdir(folder) == [f"{cab}.cab"]
    emulator.fault("status", list(LISTS), status=500)
    refresh(folder)
    assert os.listdir(folder) == [f"{cab}.cab"]
    assert xattrs(folder)["stale"] == "1"
    assert why(folder)["errno"] == "EIO"
    assert why(folder)["status"] == "500"
    emulator.clear_faults()
    refresh(folder)
    os.listdir(folder)
    assert why(folder) == {}


def test_lookup(emulator, mount, cab):
    """A name that could not be looked up has no attributes: its directory tells, and by its name. [E14]"""
    root = mount(retries=1).path
    emulator.fault("status", list(LISTS), status=500)
    assert errno_of(os.stat, root / APP / OTHER_FAILURE) == "EIO"
    found = why(root / APP)
    assert found["operation"] == "lookup" and found["name"] == OTHER_FAILURE and found["status"] == "500"
    emulator.clear_faults()
    refresh(root)
    assert errno_of(os.stat, root / APP / OTHER_FAILURE) == "ENOENT"
    assert why(root / APP) == {}


def test_member(emulator, mount, cab):
    """What is in a CAB, and what it cannot be opened for."""
    root = mount(retries=1).path
    path = root / APP / FAILURE / f"{cab}.cab.d"
    emulator.fault("status", "blob-get", status=500)
    assert errno_of(os.listdir, path) == "EIO"
    assert why(path)["operation"] == "list"
    emulator.clear_faults()
    wait_until(lambda: errno_of(os.listdir, path) is None, "it is not tried again at once")
    assert why(path) == {}


def test_timeout(emulator, mount, cab):
    """Silence has no status."""
    path = mount(retries=1, timeout=1).path / APP / FAILURE / f"{cab}.cab"
    os.stat(path)
    emulator.fault("hold", "blob-get")
    assert errno_of(open, path, "rb") == "ETIMEDOUT"
    found = why(path)
    assert found["errno"] == "ETIMEDOUT" and "status" not in found
    emulator.clear_faults()
