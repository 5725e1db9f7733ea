# SPDX-License-Identifier: MIT
"""Services that fail, go away and come back, and tokens that are not to be had."""
import errno
import json
import os
import re
import shlex
import time

import pytest

from conftest import APP, FAILURE, OTHER_FAILURE
from mount import Mount, Reader, errno_of, within, xattrs

LISTS = ["batch", "details"]  # the two ways to the CABs of a failure


def failure(number):
    return f"1fd83f6d-9fe0-96ec-2c47-{number:012}"


def stale(path):
    return xattrs(path).get("stale")


# --- the first time ---------------------------------------------------------------------------------------------

FAULTS = [
    # fault, arguments, errno, requests with retries=2
    ("status", {"status": 500}, "EIO", 2),
    ("status", {"status": 503, "body": "html"}, "EIO", 2),
    ("status", {"status": 403}, "EACCES", 1),
    ("status", {"status": 401}, "EACCES", 2),
    ("status", {"status": 404}, "ENOENT", 1),
    ("status", {"status": 400, "body": "empty"}, "EIO", 1),
    ("drop", {}, "EIO", 2),
    ("drop", {"how": "reset"}, "EIO", 2),
    ("hold", {}, "ETIMEDOUT", 1),
    ("answer", {"text": "<html>"}, "EIO", 1),
    ("answer", {"text": "{}"}, "EIO", 1),
    ("answer", {"text": '{"Value": null}'}, "EIO", 1),
]
FAULT_IDS = [f"{name}-{args.get('status', args.get('how', args.get('text', '')))}" for name, args, *_ in FAULTS]


def application(number):
    return f"139841046774{number:05}"


def set_faults(emulator, endpoints, name_of):
    """Each fault of the table for a list of its own, so that they pass side by side."""
    for number, (fault, args, _, _) in enumerate(FAULTS):
        emulator.fault(fault, endpoints, path=name_of(number), **args)


def check_failures(emulator, endpoint, name_of, func, paths, counted=True):
    """Does the same to all paths at a time: each ends with the error of its fault, after so many requests."""
    emulator.reset_counters()
    readers = [Reader(func, path) for path in paths]
    for reader in readers:
        reader.get(30)
    errors = [reader.error and errno.errorcode[reader.error] for reader in readers]
    assert dict(zip(FAULT_IDS, errors)) == {name: error for name, (_, _, error, _) in zip(FAULT_IDS, FAULTS)}
    log = [entry["path"] for entry in emulator.log(endpoint)]
    made = {name: sum(name_of(number) in path for path in log) for number, name in enumerate(FAULT_IDS)}
    for name, (fault, _, _, requests) in zip(FAULT_IDS, FAULTS):
        if fault == "drop":  # libcurl repeats a request by itself as long as it has old connections to try
            assert not counted or made[name] >= requests, name
        else:
            assert not counted or made[name] == requests, name


def test_first_listing_fails(emulator, mount):
    """Where there is no list, looking is an error and never an empty directory; later it works. [F5]"""
    for number in range(len(FAULTS)):
        emulator.add_cabs(APP, failure(number), count=3)
    m = mount(timeout=4, retries=2, api_connections=16)
    assert len(os.listdir(m.path / APP)) == len(FAULTS)
    dirs = [m.path / APP / failure(number) for number in range(len(FAULTS))]
    set_faults(emulator, LISTS, failure)
    check_failures(emulator, "batch", failure, os.listdir, dirs)
    check_failures(emulator, "batch", failure, os.stat, [path / "x1.cab" for path in dirs], counted=False)
    check_failures(emulator, "batch", failure, os.listdir, dirs, counted=False)
    emulator.clear_faults()
    for path in dirs:
        within(10, lambda: errno_of(os.listdir, path) is None, f"{path} does not come back")
        assert sorted(os.listdir(path)) == sorted(f"{cab['id']}.cab" for cab in emulator.cabs(APP, path.name))
        assert stale(path) == "0"
    m.verify(emulator.cabs()[0])


def test_first_list_of_failures_fails(emulator, mount):
    """The same for the failures of an application. [F5]"""
    for number in range(len(FAULTS)):
        emulator.add_cabs(application(number), FAILURE)
    m = mount(timeout=4, retries=2, api_connections=16, driver=[application(n) for n in range(len(FAULTS))])
    dirs = [m.path / application(number) for number in range(len(FAULTS))]
    set_faults(emulator, "hits", application)
    check_failures(emulator, "hits", application, os.listdir, dirs)
    emulator.clear_faults()
    for path in dirs:
        within(10, lambda: errno_of(os.listdir, path) is None, f"{path} does not come back")
        assert os.listdir(path) == [FAILURE]


@pytest.mark.parametrize("status", [500, 403, 404])
def test_reached_is_not_the_list(emulator, mount, status):
    """What was opened by name is no list: where the failures cannot be asked for, the directory cannot be read; where
    the service says that it lists none, they are all there is. [F5, F6]"""
    for number in range(3):
        emulator.add_cabs(APP, failure(number))
    m = mount(retries=1)
    emulator.fault("status", "hits", status=status)
    assert len(os.listdir(m.path / APP / failure(1))) == 1
    if status == 500:
        assert errno_of(os.listdir, m.path / APP) == "EIO"
    else:
        assert os.listdir(m.path / APP) == [failure(1)]
    emulator.clear_faults()
    within(10, lambda: errno_of(os.listdir, m.path / APP) is None and len(os.listdir(m.path / APP)) == 3,
           "the failures are not listed")


def test_unknown(emulator, mount):
    """What the services do not know is not there, and that is no failure: neither a warning nor a second request.
    [E2]"""
    emulator.add_cabs(APP, FAILURE)
    m = mount()
    os.listdir(m.path / APP)
    assert errno_of(os.stat, m.path / APP / OTHER_FAILURE) == "ENOENT"
    assert errno_of(os.stat, m.path / APP / OTHER_FAILURE / "x1.cab") == "ENOENT"
    assert errno_of(os.stat, m.path / APP / FAILURE / f"{OTHER_FAILURE}.cab") == "ENOENT"
    assert emulator.requests("batch") == 2
    assert "warning" not in m.log()


def test_refused_way(emulator, mount):
    """Where one call is not available to the account, the other one lists."""
    ids = emulator.add_cabs(APP, FAILURE, count=3)
    m = mount()
    emulator.fault("status", "batch", status=404)
    assert sorted(os.listdir(m.path / APP / FAILURE)) == sorted(f"{cab}.cab" for cab in ids)
    for cab in emulator.cabs():
        m.verify(cab)


# --- later ------------------------------------------------------------------------------------------------------


def test_later_listing_fails(emulator, mount):
    """The last good list is shown for as long as the service fails, and marked; then the new one. [F4]"""
    for number in range(len(FAULTS)):
        emulator.add_cabs(APP, failure(number), count=3)
    m = mount(listing_ttl=0, timeout=3, retries=1)
    dirs = [m.path / APP / failure(number) for number in range(len(FAULTS))]
    before = [sorted(os.listdir(path)) for path in dirs]
    hits = sorted(os.listdir(m.path / APP))
    set_faults(emulator, LISTS, failure)
    emulator.fault("status", "hits", status=500)
    missing = FAULT_IDS.index("status-404")

    def look(value):
        """All lists as they were; TRUE once they are marked with the value."""
        for number, path in enumerate(dirs):
            assert sorted(os.listdir(path)) == before[number], FAULT_IDS[number]
        assert sorted(os.listdir(m.path / APP)) == hits
        marks = [stale(path) for path in dirs] + [stale(m.path / APP)]
        return all(mark == value for number, mark in enumerate(marks) if number != missing)

    within(15, lambda: look("1"), "not all lists are marked")
    assert os.stat(dirs[0] / before[0][0]).st_size == 4096
    emulator.clear_faults()
    fresh = emulator.add_cabs(APP, failure(0), seed=2)[0]
    before[0] = None

    def new_one():
        before[0] = sorted(os.listdir(dirs[0]))
        assert len(before[0]) in (3, 4)
        return f"{fresh}.cab" in before[0]

    within(15, new_one, "the new list does not come")
    within(15, lambda: look("0"), "some lists stay marked")


def test_attribute_asks_nobody(emulator, mount):
    """Looking at the attributes of a directory starts no request, however old its list is. [F10]"""
    emulator.add_cabs(APP, FAILURE)
    m = mount(listing_ttl=0)
    os.listdir(m.path / APP / FAILURE)
    with_dir = os.open(m.path / APP / FAILURE, os.O_RDONLY | os.O_DIRECTORY)
    try:
        time.sleep(0.2)  # what the look itself has started behind is over
        emulator.reset_counters()
        for _ in range(20):
            assert os.getxattr(with_dir, "user.cabfs.stale") == b"0"
            assert os.getxattr(with_dir, "user.cabfs.cabs") == b"1"
        assert emulator.counters()["requests"] == 0
    finally:
        os.close(with_dir)


# --- without a network ------------------------------------------------------------------------------------------

DATA = {"date": int(time.time()) - 5000, "step": 60, "size": [300_000, 5000]}


def look_at(path):
    """What the list says of a CAB, without what the cache has of it."""
    fields = {key: value for key, value in xattrs(path).items() if key not in ("state", "etag", "md5", "kind")}
    return os.stat(path).st_size, os.stat(path).st_mtime_ns, fields


@pytest.mark.parametrize("ttl", [300, 0])
def test_network_gone(emulator, directory, ttl):
    """Lists, sizes, attributes and cached CABs outlive the network and a remount; what is not here is an error soon.
    [F4, K8]"""
    emulator.add_cabs(APP, FAILURE, count=4, **DATA)
    cabs = emulator.cabs()
    truth = {cab["id"]: emulator.content(cab["id"]) for cab in cabs}
    with Mount(emulator, directory, driver=[APP], listing_ttl=ttl, timeout=10, retries=2) as m:
        there = m.path / APP / FAILURE
        looks = {name: look_at(there / name) for name in os.listdir(there)}
        for cab in cabs[:2]:
            m.verify(cab)
        assert os.listdir(m.path / APP) == [FAILURE]
        ports = emulator.ports
        emulator.kill()
        m.remount()
        assert os.listdir(m.path / APP) == [FAILURE]
        assert sorted(os.listdir(there)) == sorted(looks)
        assert {name: look_at(there / name) for name in looks} == looks
        for cab in cabs[:2]:
            assert (there / f"{cab['id']}.cab").read_bytes() == truth[cab["id"]]
            assert xattrs(m.cab(cab))["state"] == "cached"
        for cab in cabs[2:]:
            began = time.monotonic()
            assert errno_of(m.cab(cab).read_bytes) == "EIO"
            assert time.monotonic() - began < 8
            assert xattrs(m.cab(cab))["state"] == "remote"
        if ttl == 0:
            within(10, lambda: os.listdir(there) and stale(there) == "1", "an old list is not marked")
        assert sorted(os.listdir(there)) == sorted(looks)
        # the services come back, and know nothing of the tokens and signatures they gave out
        emulator.start(ports)
        emulator.add_cabs(APP, FAILURE, count=4, **DATA)
        for cab in cabs:
            within(20, lambda: errno_of(m.cab(cab).read_bytes) is None, "the CABs do not come back")
            m.verify(cab)


def test_service_gone_at_start(emulator, directory):
    """A mount starts without its services, says so to who looks, and works once they are there. [E9]"""
    m = Mount(emulator, directory, driver=[APP], timeout=5, retries=1)
    ports = emulator.ports
    emulator.kill()
    with m:
        assert os.listdir(m.path) == [APP]
        assert errno_of(os.listdir, m.path / APP) == "EIO"
        assert errno_of(os.stat, m.path / APP / FAILURE) == "EIO"
        emulator.start(ports)
        emulator.add_cabs(APP, FAILURE, count=2)
        within(10, lambda: errno_of(os.listdir, m.path / APP) is None, "the service is not asked again")
        assert os.listdir(m.path / APP) == [FAILURE]
        # That it failed is remembered for a second of its own.
        within(10, lambda: errno_of(os.listdir, m.path / APP / FAILURE) is None, "its CABs are not asked for again")
        for cab in emulator.cabs():
            m.verify(cab)


def test_service_silent_at_start(emulator, mount):
    """The same if the hosts take connections and say nothing."""
    emulator.add_cabs(APP, FAILURE)
    emulator.fault("hold", "*")
    began = time.monotonic()
    m = mount(timeout=2)
    assert os.listdir(m.path) == [APP]
    assert time.monotonic() - began < 5
    assert errno_of(os.listdir, m.path / APP) == "ETIMEDOUT"
    emulator.clear_faults()
    within(10, lambda: errno_of(os.listdir, m.path / APP) is None, "the service is not asked again")


# --- tokens -----------------------------------------------------------------------------------------------------


def test_revoked_token(emulator, mount):
    """A token that is not taken any more costs one new one, whoever notices it first, and nobody an error. [E12]"""
    for number in range(8):
        emulator.add_cabs(APP, failure(number), count=2)
    m = mount()
    os.listdir(m.path / APP)
    assert emulator.requests("login") == 1
    emulator.revoke_tokens()
    readers = [Reader(os.listdir, m.path / APP / failure(number)) for number in range(8)]
    assert [len(reader.get(20)) for reader in readers] == [2] * 8
    assert [reader.error for reader in readers] == [None] * 8
    assert emulator.requests("login") == 2
    assert emulator.counters()["endpoints"]["batch"]["statuses"]["200"] == 8


def test_revoked_token_and_then_a_failure(emulator, mount):
    """The new token is not the one that was refused, however often it is needed before an answer comes. [E12]"""
    emulator.add_cabs(APP, FAILURE, count=2)
    m = mount()
    os.listdir(m.path / APP)
    emulator.revoke_tokens()
    emulator.fault("status", "batch", status=503, retryAfter=0, skip=1, count=1)
    assert len(os.listdir(m.path / APP / FAILURE)) == 2
    assert [entry["status"] for entry in emulator.log("batch")] == [401, 503, 200]
    assert emulator.requests("login") == 2


def test_portal(emulator, mount):
    """What is no answer of a login host is not held against it for longer than the next few looks. [E10]"""
    emulator.add_cabs(APP, FAILURE)
    m = mount()
    fault = emulator.fault("answer", "login", text="<html>sign in</html>", type="text/html")
    for _ in range(5):
        assert errno_of(os.listdir, m.path / APP) == "EIO"
    assert emulator.requests("login") == 1
    emulator.clear_faults(fault)
    within(20, lambda: errno_of(os.listdir, m.path / APP) is None, "the login host is not asked again")


def test_wrong_secret(emulator, mount):
    """EACCES, a line that tells why, and no storm at the login host; with the right secret the next mount works.
    [E10]"""
    for number in range(10):
        emulator.add_cabs(APP, failure(number))
    m = mount()
    emulator.config(clientSecret="another one")
    m.secrets.append("another one")
    assert errno_of(os.listdir, m.path / APP) == "EACCES"
    for number in range(10):
        assert errno_of(os.listdir, m.path / APP / failure(number)) == "EACCES"
        assert errno_of(os.stat, m.path / APP / failure(number) / "x1.cab") == "EACCES"
    assert emulator.requests("login") == 1
    lines = [line for line in m.log().splitlines() if "AADSTS7000215" in line]
    assert lines and re.search(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", lines[0]), m.log()
    m.remount()
    assert len(os.listdir(m.path / APP)) == 10


def test_login_fails_and_recovers(emulator, mount):
    """A login host that has a bad moment is asked again at once, one that is down when somebody looks again."""
    emulator.add_cabs(APP, FAILURE)
    m = mount(retries=3)
    fault = emulator.fault("status", "login", status=503, count=2)
    assert os.listdir(m.path / APP) == [FAILURE]
    assert emulator.requests("login") == 3
    emulator.clear_faults(fault)
    m.options["retries"] = 1
    m.remount()
    emulator.fault("status", "login", status=500)
    assert errno_of(os.listdir, m.path / APP / OTHER_FAILURE) == "EIO"
    emulator.clear_faults()
    within(10, lambda: errno_of(os.listdir, m.path / APP / OTHER_FAILURE) == "ENOENT", "no new token is asked for")


def token_file(emulator, directory):
    path = directory / "token"
    path.write_text(emulator.token() + "\n")
    return {"token_file": str(path)}, {}


def command_bare(emulator, directory):
    options, _ = token_file(emulator, directory)
    return {"token_command": f"cat {shlex.quote(options['token_file'])}"}, {}


def command_json(emulator, directory):
    path = directory / "answer.json"
    path.write_text(json.dumps({"accessToken": emulator.token(), "expiresOn": "2030-01-01 00:00:00.000000",
                                "subscription": "0", "tenant": "1", "tokenType": "Bearer"}))
    return {"token_command": f"cat {shlex.quote(str(path))}"}, {}


def environment(emulator, directory):
    config = emulator.config()
    return {}, {"AZURE_TENANT_ID": config["tenant"], "AZURE_CLIENT_ID": config["clientId"],
                "AZURE_CLIENT_SECRET": config["clientSecret"]}


def credentials_directory(emulator, directory, name="client-secret"):
    config = emulator.config()
    place = directory / "credentials"
    place.mkdir()
    secret = place / name
    secret.write_text(config["clientSecret"] + "\n")
    secret.chmod(0o400)
    place.chmod(0o500)
    return ({"tenant": config["tenant"], "client_id": config["clientId"]}, {"CREDENTIALS_DIRECTORY": str(place)})


def relative_credential(emulator, directory):
    options, variables = credentials_directory(emulator, directory, "contoso")
    return {**options, "client_secret_file": "contoso"}, variables


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("source, logins", [(token_file, 0), (command_bare, 0), (command_json, 0), (environment, 1),
                                            (credentials_directory, 1), (relative_credential, 1)])
def test_token_sources(emulator, directory, source, logins, version):
    """Each way to a token lists and reads."""
    emulator.add_cabs(APP, FAILURE, count=2, size=300_000)
    options = {"tenant": None, "client_id": None, "client_secret_file": None}
    given, variables = source(emulator, directory)
    options.update(given)
    with Mount(emulator, directory, driver=[APP], environment=variables, token_version=version, **options) as m:
        assert os.listdir(m.path / APP) == [FAILURE]
        for cab in emulator.cabs():
            m.verify(cab)
    assert emulator.requests("login") == logins
    assert [entry["path"].endswith("v2.0/token") for entry in emulator.log("login")] == [version == 2] * logins


def test_token_file_is_read_anew(emulator, directory):
    """A token in a file that is not taken any more is replaced by what is in the file then, at the price of one 401."""
    emulator.add_cabs(APP, FAILURE)
    emulator.add_cabs(APP, OTHER_FAILURE)
    given, _ = token_file(emulator, directory)
    options = {"tenant": None, "client_id": None, "client_secret_file": None, **given}
    with Mount(emulator, directory, driver=[APP], **options) as m:
        assert len(os.listdir(m.path / APP)) == 2
        emulator.revoke_tokens()
        token_file(emulator, directory)
        assert len(os.listdir(m.path / APP / FAILURE)) == 1
        assert emulator.counters()["endpoints"]["batch"]["statuses"] == {"401": 1, "200": 1}
        emulator.revoke_tokens()
        for _ in range(3):  # the same token again is tried once
            assert errno_of(os.listdir, m.path / APP / OTHER_FAILURE) == "EACCES"
        assert "still gives the same" in m.log()


def test_failing_command(emulator, directory):
    """A command that fails is an error with its own words, and is not run again and again."""
    emulator.add_cabs(APP, FAILURE)
    counter = directory / "runs"
    command = f"echo run >> {shlex.quote(str(counter))}; echo please log in first >&2; exit 3"
    options = {"tenant": None, "client_id": None, "client_secret_file": None, "token_command": command}
    with Mount(emulator, directory, driver=[APP], **options) as m:
        for _ in range(5):
            assert errno_of(os.listdir, m.path / APP) in ("EACCES", "EIO")
        assert "please log in first" in m.log()
        assert counter.read_text() == "run\n"


def test_renewal_ahead(emulator, mount):
    """A token is renewed before it runs out, behind the back of those who use it: no 401, and nobody waits."""
    for number in range(4):
        emulator.add_cabs(APP, failure(number))
    emulator.config(tokenLife=4)
    m = mount()
    os.listdir(m.path / APP)
    time.sleep(2.3)  # more than half of its life
    fault = emulator.fault("hold", "login")
    assert os.listdir(m.path / APP / failure(0))
    emulator.wait_held(1)
    assert os.listdir(m.path / APP / failure(1))
    assert emulator.requests("login") == 2  # one renewal in flight
    emulator.clear_faults(fault)
    time.sleep(2)  # the first one is over
    assert os.listdir(m.path / APP / failure(2))
    counters = emulator.counters()["endpoints"]
    assert counters["login"]["requests"] in (2, 3)
    assert set(counters["batch"]["statuses"]) == {"200"}


def test_tokens_that_live_short(emulator, mount):
    """A walk that outlives several tokens notices nothing."""
    for number in range(6):
        emulator.add_cabs(APP, failure(number))
    emulator.config(tokenLife=1)
    m = mount()
    os.listdir(m.path / APP)
    for number in range(6):
        assert len(os.listdir(m.path / APP / failure(number))) == 1
        time.sleep(0.4)
    assert 3 <= emulator.requests("login") <= 7


def test_host_that_ignores_ranges_and_breaks_off(emulator, mount):
    """A host that begins with the first byte whatever is asked for, and breaks off before the one that is wanted, brings
    nothing, however often it is tried. [C5, E7]"""
    emulator.add_cabs(APP, FAILURE, size=3 << 20)
    cab, = emulator.cabs()
    m = mount(retries=2, timeout=5)
    emulator.fault("range-ignored", "blob-get")
    emulator.fault("short", "blob-get", after=40_000)
    with open(m.cab(cab), "rb", buffering=0) as file:
        assert errno_of(os.pread, file.fileno(), 4096, 100_000) == "EIO"
    m.unmount()
    assert emulator.requests("blob-get") <= 2 * 2 + 1, "two reads of the kernel, and what came with the open"
