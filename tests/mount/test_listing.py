# SPDX-License-Identifier: MIT
"""Directories: what is listed, what opens by name, what stat and getfattr show, and what each of these costs."""
import ctypes
import datetime
import errno
import hashlib
import math
import os
import stat
import subprocess
import time
import urllib.parse
import uuid

import pytest

from conftest import APP, FAILURE, OTHER_APP, OTHER_FAILURE
from mount import PROGRAM, Reader, errno_of, wait_in_fuse, wait_until, xattrs

DAY = 86400
LISTS = ("hits", "details", "batch")


def file_names(ids):
    return sorted(f"{cab}.cab" for cab in ids)


def listed(path):
    return sorted(os.listdir(path))


def requests_of(emulator, *endpoints):
    counters = emulator.counters(cabs=False)["endpoints"]
    return {name: counters[name]["requests"] for name in endpoints}


def no_request(emulator):
    return emulator.counters(cabs=False)["requests"] == 0


def add_failure(emulator, application, failure, count=1, date=None):
    """A failure that the service counts, without a CAB."""
    emulator.add_dataset([{"id": application, "failures": [
        {"hash": failure, "events": [{"date": int(date or time.time() - 3600), "count": count}]}]}])


def iso(seconds):
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


# --- how many, and at what cost -------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [1, 100, 101, 1234])
def test_all_cabs_are_listed_once(emulator, mount, count):
    """The names are the service's cabIdHash values; pages are asked for once, and within the TTL never again. [F1]"""
    ids = emulator.add_cabs(APP, FAILURE, count=count, size=100)
    folder = mount().path / APP / FAILURE
    assert listed(folder) == file_names(ids)
    batch = requests_of(emulator, "batch")["batch"]
    assert math.ceil(count / 100) <= batch <= math.ceil(count / 100) + 1
    assert requests_of(emulator, "details", "blob-head", "blob-get") == {"details": 0, "blob-head": 0, "blob-get": 0}

    emulator.reset_counters()
    assert listed(folder) == file_names(ids)
    result = subprocess.run(["ls", "-1f", folder], capture_output=True, text=True, check=True, timeout=60)
    assert sorted(result.stdout.split()) == sorted([".", "..", *file_names(ids)])
    assert no_request(emulator)


@pytest.mark.parametrize("first_look_above", [True, False])
def test_failure_without_cabs(emulator, mount, first_look_above):
    """A failure that the service counts is there and empty; one that it knows nothing of is not."""
    add_failure(emulator, APP, FAILURE)
    root = mount().path
    if first_look_above:
        assert listed(root / APP) == [FAILURE]
    assert listed(root / APP / FAILURE) == []
    assert errno_of(os.listdir, root / APP / OTHER_FAILURE) == "ENOENT"
    assert listed(root / APP) == [FAILURE]
    assert requests_of(emulator, *LISTS) == {"hits": 1, "details": 0, "batch": 2}

    emulator.reset_counters()
    assert listed(root / APP / FAILURE) == []
    assert errno_of(os.stat, root / APP / OTHER_FAILURE) == "ENOENT"
    assert no_request(emulator)


def test_root_lists_what_is_configured(emulator, mount):
    """Names from the configuration, each once, without a request."""
    path = mount(driver=[OTHER_APP, APP, OTHER_APP, "9NBLGGGZ5QDR"]).path
    assert listed(path) == sorted([APP, OTHER_APP, "9NBLGGGZ5QDR"])
    assert all(stat.S_ISDIR(os.stat(path / name).st_mode) for name in os.listdir(path))
    assert no_request(emulator)


def test_application_lists_its_failures(emulator, mount):
    """Each failure once, on however many days and with however many names it was counted."""
    hashes = sorted(str(uuid.UUID(int=i << 64 | 7)) for i in range(150))
    now = int(time.time())
    emulator.add_dataset([{"id": APP, "failures": [
        {"hash": name, "fields": {"failureName": "A"}, "events": [{"date": now - day * DAY, "count": 1}
                                                                  for day in (1, 2, 5)]} for name in hashes]}])
    path = mount().path / APP
    assert listed(path) == hashes
    assert requests_of(emulator, *LISTS) == {"hits": 1, "details": 0, "batch": 0}
    assert xattrs(path / hashes[3])["eventCount"] == "3"
    assert xattrs(path)["failures"] == "150"


# --- names ----------------------------------------------------------------------------------------------------------

PROBES = [".git", ".Trash", ".Trash-1000", ".hidden", ".sh_thumbnails", ".directory", "desktop.ini", "autorun.inf",
          "foo", "x.txt", "ABC.cab.dd", "a b", "ä", "a\nb", "-", "~", "con"]
NO_APPLICATION = ["1234567", "1" * 21, "9nblgggz5qdr", "9NBLGGGZ5QD", "9NBLGGGZ5QDRR", "1234567a", "12345678.",
                  FAILURE, "0x12345678"]
NO_FAILURE = ["a" * 15, "1" * 15, "a1" * 33, "a" * 16, "-" * 36, "a1b2c3d4_e5f6a7b8",
              "1fd83f6d-9fe0-96ec-2c47.cab", "a" * 255]
NO_CAB = [".cab", "..cab", ".a.cab", "a b.cab", "a.CAB", "a.cab.", ".a.cab.d", "a.zip", "ä.cab", "a:b.cab",
          "a" * 129 + ".cab", FAILURE]


@pytest.mark.parametrize("below, names", [
    ((), PROBES + NO_APPLICATION), ((APP,), PROBES + NO_FAILURE), ((APP, FAILURE), PROBES + NO_CAB)])
def test_names_that_can_never_be(emulator, mount, below, names):
    """Probes of desktops and ill-formed names are ENOENT at every level, and no service is asked for them, not even
    when nothing of the directory is known. [F11]"""
    add_failure(emulator, APP, FAILURE)
    root = mount().path
    listed(root / APP)  # so that the failure is known; its CABs are not
    emulator.reset_counters()
    directory = root.joinpath(*below)
    assert {name: errno_of(os.stat, directory / name) for name in names} == dict.fromkeys(names, "ENOENT")
    assert {name: errno_of(os.open, directory / name, os.O_RDONLY) for name in names} == dict.fromkeys(names, "ENOENT")
    assert no_request(emulator)


def test_cab_that_is_not_listed(emulator, mount):
    """In a list that is known, other well-formed names need no request; a file has nothing below it."""
    ids = emulator.add_cabs(APP, FAILURE, count=3)
    folder = mount().path / APP / FAILURE
    listed(folder)
    emulator.reset_counters()
    assert errno_of(os.stat, folder / f"{OTHER_FAILURE}.cab") == "ENOENT"
    assert errno_of(os.stat, folder / ids[0]) == "ENOENT"
    assert errno_of(os.listdir, folder / f"{ids[0]}.cab") == "ENOTDIR"
    assert requests_of(emulator, *LISTS, "blob-get") == {"hits": 0, "details": 0, "batch": 0, "blob-get": 0}


def test_cab_opens_by_name(emulator, mount):
    """A path from somewhere else works at once, without a list of the failures above."""
    emulator.add_cabs(APP, FAILURE, count=3, size=1000)
    cab = emulator.cabs(APP)[1]
    mounted = mount()
    assert os.stat(mounted.cab(cab)).st_size == 1000
    mounted.verify(cab)
    assert requests_of(emulator, *LISTS) == {"hits": 0, "details": 0, "batch": 1}


def test_unlisted_application(emulator, mount):
    """An application that is not configured opens by name, and is listed from then on, for the life of the mount."""
    ids = emulator.add_cabs(OTHER_APP, OTHER_FAILURE, count=2)
    mounted = mount()
    root = mounted.path
    assert listed(root) == [APP]
    assert listed(root / OTHER_APP / OTHER_FAILURE) == file_names(ids)
    assert listed(root) == [APP, OTHER_APP]
    assert listed(root / OTHER_APP) == [OTHER_FAILURE]
    mounted.remount()
    assert listed(root) == [APP]


def test_unlisted_application_that_is_walked(emulator, mount):
    """The same when somebody lists it first: then its failures are known, and need not be looked up."""
    emulator.add_cabs(OTHER_APP, OTHER_FAILURE)
    root = mount().path
    assert listed(root) == [APP]
    assert listed(root / OTHER_APP) == [OTHER_FAILURE]
    assert listed(root) == [APP, OTHER_APP]


def test_unknown_application(emulator, mount):
    """A well-formed ID is taken at its word; what the service does not know stays empty-handed, and unlisted."""
    root = mount().path
    assert stat.S_ISDIR(os.stat(root / OTHER_APP).st_mode)
    assert no_request(emulator)
    assert errno_of(os.listdir, root / OTHER_APP) == "ENOENT"
    assert errno_of(os.listdir, root / OTHER_APP / FAILURE) == "ENOENT"
    assert listed(root) == [APP]


def test_unlisted_failure(emulator, mount):
    """A failure that the service does not list but has CABs of opens by name, and is listed from then on."""
    ids = emulator.add_cabs(APP, FAILURE, count=2)
    emulator.fault("answer", "hits", status=200, text='{"Value": []}')
    root = mount().path
    assert listed(root / APP) == []
    assert listed(root / APP / FAILURE) == file_names(ids)
    assert listed(root / APP) == [FAILURE]
    assert xattrs(root / APP / FAILURE) == {"stale": "0", "cabs": "2"}


def test_failure_where_failures_cannot_be_listed(emulator, mount):
    """Where the service refuses the list of failures, they open by name all the same."""
    ids = emulator.add_cabs(APP, FAILURE, count=2)
    emulator.fault("status", "hits", status=403)
    root = mount().path
    assert errno_of(os.listdir, root / APP) == "EACCES"
    assert listed(root / APP / FAILURE) == file_names(ids)
    assert listed(root / APP) == [FAILURE]
    assert errno_of(os.listdir, root / APP / OTHER_FAILURE) == "ENOENT"


def test_undownloadable(emulator, mount):
    """CABs that the account may not have are shown, and open is EACCES without a request; `hide` leaves them out."""
    good, = emulator.add_cabs(APP, FAILURE, size=1000)
    denied, = emulator.add_cabs(APP, FAILURE, seed=2, cabDownloadable=False)
    without, = emulator.add_cabs(APP, FAILURE, seed=3, urlForm="null")
    shown = mount().path / APP / FAILURE
    assert listed(shown) == file_names([good, denied, without])
    emulator.reset_counters()
    assert [errno_of(os.open, shown / f"{cab}.cab", os.O_RDONLY) for cab in (denied, without)] == ["EACCES"] * 2
    assert [os.stat(shown / f"{cab}.cab").st_size for cab in (denied, without)] == [0, 0]
    assert no_request(emulator)
    hidden = mount(undownloadable="hide").path / APP / FAILURE
    assert listed(hidden) == file_names([good])
    assert errno_of(os.stat, hidden / f"{denied}.cab") == "ENOENT"


# --- what is asked --------------------------------------------------------------------------------------------------


def questions(emulator, endpoint):
    """The parameters of each request, in order."""
    return [dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(entry["path"]).query, strict_parsing=True))
            for entry in emulator.log(endpoint)]


def utc_day(offset=0):
    return datetime.datetime.now(datetime.timezone.utc).date() + datetime.timedelta(days=offset)


@pytest.mark.parametrize("options, first, last", [
    ({}, -30, 1), ({"days": 7}, -7, 1), ({"days": 90}, -90, 1),
    ({"start_date": "2026-02-03"}, "2026-02-03", 1),
    ({"start_date": "2026-02-03", "end_date": "2026-03-04", "days": 7}, "2026-02-03", "2026-03-04"),
])
def test_window(emulator, mount, options, first, last):
    """Hits and batch are asked for the days of `days`, or of `start-date` and `end-date`, each in its own form."""
    def date(value, today):
        return datetime.date.fromisoformat(value) if isinstance(value, str) else today + datetime.timedelta(value)

    add_failure(emulator, APP, FAILURE)
    before = utc_day()
    path = mount(**options).path / APP
    listed(path)
    errno_of(os.listdir, path / FAILURE)
    if before != utc_day():
        pytest.skip("midnight came in between")
    first, last = date(first, before), date(last, before)
    hits, batch = questions(emulator, "hits"), questions(emulator, "batch")
    assert hits == [{"applicationId": APP, "startDate": first.strftime("%m/%d/%Y"), "top": "10000", "skip": "0",
                     "endDate": last.strftime("%m/%d/%Y"), "groupby": "failureHash,failureName,eventType",
                     "aggregationLevel": "day"}]
    assert batch == [{"applicationId": APP, "failureHash": FAILURE, "startDate": first.isoformat(),
                      "endDate": last.isoformat(), "top": "100", "skip": "0"}]
    assert "%2F" in emulator.log("hits")[0]["path"], "a slash is not encoded"


def test_window_cuts(emulator, mount):
    """What lies outside of the window is not listed, what lies in it is."""
    ids = emulator.add_cabs(APP, FAILURE, count=40, date=int(time.time()) - 3600, step=DAY, expiresAfter=400 * DAY)
    assert listed(mount(days=7).path / APP / FAILURE) == file_names(ids[:8])
    assert listed(mount(days=365).path / APP / FAILURE) == file_names(ids)


# --- many at a time -------------------------------------------------------------------------------------------------


def test_parallel_ls_is_one_set_of_requests(emulator, mount):
    """Twenty programs list a directory that nobody has listed: one of them costs, all get everything. [C2]"""
    ids = emulator.add_cabs(APP, FAILURE, count=250)
    root = mount().path
    listed(root / APP)
    hold = emulator.fault("hold", "batch", count=1)
    readers = [Reader(listed, root / APP / FAILURE) for _ in range(20)]
    emulator.wait_held(1)
    wait_in_fuse(readers)
    assert requests_of(emulator, "batch") == {"batch": 1}
    emulator.clear_faults(hold)
    assert [reader.get() for reader in readers] == [file_names(ids)] * 20
    assert requests_of(emulator, *LISTS) == {"hits": 1, "details": 0, "batch": 3}


def test_parallel_lookups_are_one_request(emulator, mount):
    """Twenty programs go straight to different CABs of one failure that nobody has looked at. [C2]"""
    emulator.add_cabs(APP, FAILURE, count=20, size=500)
    cabs = emulator.cabs(APP, FAILURE)
    mounted = mount()
    listed(mounted.path / APP)
    hold = emulator.fault("hold", "batch", count=1)
    readers = [Reader(lambda path: os.stat(path).st_size, mounted.cab(cab)) for cab in cabs]
    emulator.wait_held(1)
    wait_in_fuse(readers)
    emulator.clear_faults(hold)
    assert [reader.get() for reader in readers] == [500] * 20
    assert requests_of(emulator, *LISTS, "blob-head") == {"hits": 1, "details": 0, "batch": 1, "blob-head": 20}


def test_other_directories_go_on(emulator, mount):
    """While one list does not come, others do, and what is known needs nothing. [C3]"""
    emulator.add_cabs(APP, FAILURE)
    ids = emulator.add_cabs(APP, OTHER_FAILURE, count=2)
    root = mount().path
    listed(root / APP)
    hold = emulator.fault("hold", "batch", path=FAILURE)
    reader = Reader(listed, root / APP / FAILURE)
    emulator.wait_held(1)
    wait_in_fuse([reader])
    assert Reader(listed, root / APP / OTHER_FAILURE).get(5) == file_names(ids)
    assert Reader(listed, root / APP).get(5) == sorted([FAILURE, OTHER_FAILURE])
    emulator.clear_faults(hold)
    assert len(reader.get()) == 1


@pytest.mark.parametrize("connections", [1, 4, 9])
def test_pages_side_by_side(emulator, mount, connections):
    """Pages of a long list are asked for as many at a time as `api-connections` says, and the list is right."""
    ids = emulator.add_cabs(APP, FAILURE, count=3210)
    emulator.fault("latency", "batch", ms=40 * connections)  # long enough for all to be asked for meanwhile
    mounted = mount(api_connections=connections)
    os.listdir(mounted.path / APP)  # for the token: what is asked for before may still be under way at the service
    wait_until(lambda: emulator.counters(cabs=False)["concurrent"]["now"] == 0, "all answers are over")
    emulator.reset_counters()
    assert listed(mounted.path / APP / FAILURE) == file_names(ids)
    assert emulator.counters(cabs=False)["concurrent"]["max"] == connections
    assert 33 <= emulator.requests("batch") <= 34


@pytest.mark.parametrize("form", [None, "absent", "absolute"])
@pytest.mark.parametrize("pages", [2, 3, 4, 5, 12, 13, 100])
def test_pages_beyond_the_end(emulator, mount, pages, form):
    """Where nothing but an empty page shows the end, that one and at most one more is asked for in vain."""
    emulator.add_cabs(APP, FAILURE, count=100 * pages, reply=False)
    emulator.fault("latency", "batch", ms=1, maxMs=9)
    if form is not None:
        emulator.fault("next-link", "batch", form=form)
    assert len(listed(mount().path / APP / FAILURE)) == 100 * pages
    assert pages + 1 <= emulator.requests("batch") <= pages + 2
    skips = [int(question["skip"]) for question in questions(emulator, "batch")]
    assert len(set(skips)) == len(skips) and set(range(0, 100 * pages, 100)) <= set(skips)


@pytest.mark.parametrize("fault, arguments", [
    ("status", {"status": 429, "retryAfter": 0}), ("status", {"status": 503}), ("status", {"status": 401}),
    ("drop", {"how": "reset"}), ("short", {"after": 700})], ids=str)
def test_fault_among_pages(emulator, mount, fault, arguments):
    """One page of many that is refused or broken off is asked for again, and no other. [E8]"""
    ids = emulator.add_cabs(APP, FAILURE, count=2345)
    emulator.fault("latency", "batch", ms=5, maxMs=20)
    emulator.fault(fault, "batch", count=2, skip=7, once=True, **arguments)  # a token refused twice is an error
    assert listed(mount().path / APP / FAILURE) == file_names(ids)
    assert 24 + 2 <= emulator.requests("batch") <= 25 + (2 if fault != "status" or arguments["status"] != 401 else 6)


@pytest.mark.parametrize("skip", [100, 300, 1100, 1200])
def test_page_that_never_comes(emulator, mount, skip):
    """A list that lacks a page is an error, not a directory that lacks files. [F6]"""
    emulator.add_cabs(APP, FAILURE, count=1234, reply=False)
    emulator.fault("status", "batch", status=500, path=f"&skip={skip}")
    path = mount(retries=1).path / APP
    assert errno_of(os.listdir, path / FAILURE) == "EIO"
    emulator.clear_faults()
    assert wait_until(lambda: errno_of(os.listdir, path / FAILURE) is None, "a good list")
    assert len(listed(path / FAILURE)) == 1234


def test_pages_beyond_the_end_that_fail(emulator, mount):
    """What the service says of pages that there are not is no error of the list, and does not hold it up."""
    ids = emulator.add_cabs(APP, FAILURE, count=1234)
    for skip in range(1300, 3000, 100):
        emulator.fault("status", "batch", status=500, path=f"&skip={skip}")
    assert listed(mount().path / APP / FAILURE) == file_names(ids)


# --- services that answer oddly -------------------------------------------------------------------------------------

ODD_ANSWERS = [
    ("paging", {"form": "overlap", "rows": 7}),  # rows shifted between two pages
    ("paging", {"form": "short", "rows": 30}),
    ("paging", {"form": "repeat"}),
    *(("next-link", {"form": form}) for form in (
        "absent", "null", "empty", "relative", "absolute", "unencoded", "malformed", "foreign")),
    *(("next-link", {"form": form, "last": True}) for form in ("relative", "absolute", "foreign")),
    *(("casing", {"envelope": case, "rows": case}) for case in ("lower", "upper", "title")),
    ("types", {"numbers": "string"}),
    ("types", {"numbers": "fraction"}),
    ("types", {"null": "submissionId"}),
    ("types", {"null": "applicationId"}),
    ("types", {"unknown": True}),
    ("types", {"bom": True}),
    ("types", {"blanks": True}),
]


@pytest.mark.parametrize("fault, arguments", ODD_ANSWERS, ids=lambda value: str(value))
def test_odd_answers_give_the_right_list(emulator, mount, fault, arguments):
    """Doubled and shifted rows, links of every form, other casing, types and byte-order marks change nothing."""
    ids = emulator.add_cabs(APP, FAILURE, count=250, fields={"submissionId": "1_2_3"})
    emulator.fault(fault, "batch", **arguments)
    emulator.fault(fault, "hits", **arguments)
    path = mount().path / APP
    assert listed(path) == [FAILURE]
    assert listed(path / FAILURE) == file_names(ids)
    assert xattrs(path / FAILURE)["cabs"] == "250"
    assert "skipped" not in xattrs(path / FAILURE)
    pages = math.ceil(250 / 30) + 1 if arguments.get("form") == "short" else 4
    assert requests_of(emulator, "batch")["batch"] <= pages


def test_counts_of_doubled_rows(emulator, mount):
    """Rows that two pages have in common are not counted twice."""
    now = int(time.time())
    emulator.add_dataset([{"id": APP, "failures": [
        {"hash": FAILURE, "events": [{"date": now - day * DAY, "count": 10} for day in range(5)]}]}])
    emulator.fault("paging", "hits", form="short", rows=2)
    path = mount().path / APP
    assert listed(path) == [FAILURE]
    assert xattrs(path / FAILURE)["eventCount"] == "50"
    emulator.clear_faults()
    emulator.fault("paging", "hits", form="short", rows=3, count=1)
    emulator.fault("paging", "hits", form="overlap", rows=2)
    path = mount().path / APP
    assert listed(path) == [FAILURE]
    assert xattrs(path / FAILURE)["eventCount"] == "50"


def test_server_that_ignores_skip(emulator, mount):
    """The first page again and again is the end of it, not an endless list."""
    ids = emulator.add_cabs(APP, FAILURE, count=250)
    emulator.fault("paging", "batch", form="skip-ignored")
    assert listed(mount().path / APP / FAILURE) == file_names(ids[:100])
    assert requests_of(emulator, "batch") == {"batch": 2}


@pytest.mark.parametrize("form", ["blank", "day", "slashes", "us", "us-short", "t", "z", "fraction", "offset",
                                  "missing", "nonsense"])
def test_dates_of_every_form(emulator, mount, form):
    """A date is read in whichever form it comes; one that cannot be read is unknown, and the CAB is there."""
    emulator.add_cabs(APP, FAILURE, count=3, size=100, date="2026-11-03 04:05:06", step=DAY, expiresAfter=50 * DAY)
    emulator.fault("dates", "batch", form=form)
    emulator.fault("dates", "hits", form=form)
    mounted = mount(days=300)
    for cab in emulator.cabs(APP):
        date, expires = cab["date"], cab["expires"]
        if form in ("day", "slashes", "us", "us-short"):
            date, expires = date // DAY * DAY, expires // DAY * DAY
        shown = xattrs(mounted.cab(cab))
        if form in ("missing", "nonsense"):
            assert not {"date", "expires"} & shown.keys()
            assert os.stat(mounted.cab(cab)).st_mtime_ns == 0
        else:
            assert (shown["date"], shown["expires"]) == (iso(date), iso(expires))
            assert os.stat(mounted.cab(cab)).st_mtime_ns == date * 10**9
        mounted.verify(cab)


def test_slashes_with_time(emulator, mount):
    """What `slashes` and `us` look like with a time of day: no form of the emulator has both."""
    text = ('{"Value": [{"cabIdHash": "one", "date": "2026/11/03 04:05:06", "cabUrl": "http://127.0.0.1:1/a"},'
            '{"cabIdHash": "two", "date": "11/3/2026 04:05:06", "cabUrl": "http://127.0.0.1:1/b"}]}')
    emulator.fault("answer", "batch", status=200, text=text)
    path = mount().path / APP / FAILURE
    assert listed(path) == ["one.cab", "two.cab"]
    assert {xattrs(path / name)["date"] for name in os.listdir(path)} == {"2026-11-03T04:05:06Z"}


HOSTILE = 20 - 2  # of the emulator's twenty, two are odd but safe: "-", and true, which is read as a word


def test_hostile_identifiers(emulator, mount):
    """Names that a service must not give are skipped and counted; those beside them are there."""
    ids = emulator.add_cabs(APP, FAILURE, count=3)
    emulator.fault("identifiers", "batch")
    path = mount().path / APP / FAILURE
    assert listed(path) == sorted(file_names(ids) + ["-.cab", "true.cab"])
    assert xattrs(path)["skipped"] == str(HOSTILE)
    assert xattrs(path)["cabs"] == "5"


def test_hostile_failures(emulator, mount):
    """The same one level higher."""
    emulator.add_cabs(APP, FAILURE)
    emulator.fault("identifiers", "hits")
    path = mount().path / APP
    assert listed(path) == sorted([FAILURE, "-", "true"])
    assert xattrs(path)["skipped"] == str(HOSTILE)
    assert xattrs(path)["failures"] == "3"


@pytest.mark.parametrize("field", ["applicationId", "failureHash"])
def test_foreign_rows(emulator, mount, field):
    """Rows that answer another question are no CABs of this failure."""
    ids = emulator.add_cabs(APP, FAILURE, count=3)
    emulator.fault("foreign-rows", "batch", field=field)
    path = mount().path / APP / FAILURE
    assert listed(path) == file_names(ids)
    assert xattrs(path)["skipped"] == "1"


def test_answers_that_are_no_lists(emulator, mount):
    """What cannot be understood is an error, never an empty directory. [F5]"""
    emulator.add_cabs(APP, FAILURE)
    path = mount().path / APP
    listed(path)
    for text in ("", "{}", "[]", "null", '{"Value": null}', '{"Value": {}}', '{"Value": [', "<html></html>",
                 '{"code": "x", "data": []}'):
        fault = emulator.fault("answer", "batch", status=200, text=text)
        assert wait_until(lambda: errno_of(os.listdir, path / FAILURE), text) == "EIO", text
        emulator.clear_faults(fault)
    assert wait_until(lambda: errno_of(os.listdir, path / FAILURE) is None, "a good list")


# --- lists that change ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ttl", [0, 1])
def test_changes_show_after_the_ttl(emulator, mount, ttl):
    """CABs come and go with the next list; until it is there the old one is shown; the kernel forgets what it kept.
    [F2]"""
    ids = emulator.add_cabs(APP, FAILURE, count=30, size=100)
    folder = mount(listing_ttl=ttl).path / APP / FAILURE
    assert listed(folder) == file_names(ids)
    assert {os.stat(folder / name).st_size for name in os.listdir(folder)} == {100}
    hold = emulator.fault("hold", "batch")
    wait_until(lambda: listed(folder) and emulator.counters()["held"], "a new question")
    new, = emulator.add_cabs(APP, FAILURE, seed=2, size=200)
    for cab in ids[:10]:
        emulator.remove_cab(cab)
    assert listed(folder) == file_names(ids), "the old list is not shown while the new one comes"
    emulator.clear_faults(hold)
    wait_until(lambda: listed(folder) == file_names(ids[10:] + [new]), "the new list")
    wait_until(lambda: errno_of(os.stat, folder / f"{ids[0]}.cab") == "ENOENT", "the removed one is gone by name")
    assert os.stat(folder / f"{new}.cab").st_size == 200
    for cab in ids[10:]:
        emulator.remove_cab(cab)
    emulator.remove_cab(new)
    wait_until(lambda: listed(folder) == [], "an empty list")


def test_new_failures_show_after_the_ttl(emulator, mount):
    """The same for the failures of an application. [F2]"""
    emulator.add_cabs(APP, FAILURE)
    path = mount(listing_ttl=1).path / APP
    assert listed(path) == [FAILURE]
    emulator.add_cabs(APP, OTHER_FAILURE)
    wait_until(lambda: listed(path) == sorted([FAILURE, OTHER_FAILURE]), "the new failure")


def test_new_cab_after_a_failed_lookup(emulator, mount):
    """That a name was not there is not remembered beyond the TTL. [F3]"""
    folder = mount(listing_ttl=1).path / APP / FAILURE
    emulator.add_cabs(APP, FAILURE, ids=["old"])
    assert errno_of(os.stat, folder / "new.cab") == "ENOENT"
    emulator.add_cabs(APP, FAILURE, ids=["new"])
    wait_until(lambda: errno_of(os.stat, folder / "new.cab") is None, "the new CAB")


def test_open_directory_keeps_its_entries(emulator, mount):
    """Who reads a directory gets each entry once, whatever the service says meanwhile. [F7]"""
    ids = emulator.add_cabs(APP, FAILURE, count=3000)
    folder = mount(listing_ttl=0).path / APP / FAILURE
    listed(folder)
    with os.scandir(folder) as entries:
        names = [next(entries).name for _ in range(10)]
        for cab in ids[:1500]:
            emulator.remove_cab(cab)
        wait_until(lambda: len(os.listdir(folder)) == 1500, "the new list")
        names += [entry.name for entry in entries]
    assert sorted(names) == file_names(ids)


def test_changed_fields_show_after_the_ttl(emulator, mount):
    """What a row says of a CAB is what the newest list says, also of a CAB that is in use."""
    emulator.add_cabs(APP, FAILURE, size=1000, fields={"cabType": "MINI"})
    cab, = emulator.cabs(APP)
    mounted = mount(listing_ttl=1)
    path = mounted.cab(cab)
    with open(path, "rb") as file:
        file.read()
        emulator.change_cab(cab["id"], expires=cab["expires"] + 10 * DAY, fields={"cabType": "FULL"})
        wait_until(lambda: listed(path.parent) and xattrs(path)["cabType"] == "FULL", "the new row")
        wait_until(lambda: xattrs(path)["expires"] == iso(cab["expires"] + 10 * DAY), "the new expiration")
    mounted.verify(cab)


# --- attributes -----------------------------------------------------------------------------------------------------

ROW = {"submissionId": "29900001_13984104677400476_1152921504000000001", "failureName": "0x133_ISR_acme!Isr",
       "cabType": "MINI", "osVersion": "Windows 11", "market": "DE"}


def test_attributes_of_a_cab(emulator, mount):
    """Exactly those of the interface: ours, and each field of the row with the service's spelling."""
    emulator.add_cabs(APP, FAILURE, size=2_000_000, fields=ROW)
    cab, = emulator.cabs(APP)
    mounted = mount(read_ahead=0)
    path = mounted.cab(cab)
    listed(path.parent)
    known = {"date": iso(cab["date"]), "expires": iso(cab["expires"]), **ROW}
    emulator.reset_counters()
    assert xattrs(path) == {"state": "remote", **known}
    assert no_request(emulator), "an attribute cost a request"
    assert os.stat(path).st_size == cab["size"]
    md5 = xattrs(path).pop("md5")  # the host told it with the size
    assert xattrs(path) == {"state": "remote", "md5": md5, **known}
    with open(path, "rb", buffering=0) as file:
        head = file.read(16)
        assert head == emulator.content(cab["id"], 0, 16)
        emulator.reset_counters()
        shown = xattrs(path)
        assert no_request(emulator)
    known.update(etag=cab["etag"], kind="other", md5=md5)
    assert shown == {"state": "partial", **known}
    mounted.verify(cab)
    wait_until(lambda: xattrs(path)["state"] == "cached", "all is here")
    assert xattrs(path) == {"state": "cached", **known}
    assert md5 == hashlib.md5(emulator.content(cab["id"])).hexdigest()
    mounted.remount()
    emulator.reset_counters()
    assert xattrs(path) == {"state": "cached", **known}
    assert no_request(emulator)


def test_no_md5_where_the_host_tells_none(emulator, mount):
    """An MD5 is shown when the blob host tells it, not computed."""
    emulator.config(md5Limit=1000)
    emulator.add_cabs(APP, FAILURE, size=2000)
    cab, = emulator.cabs(APP)
    mounted = mount()
    mounted.verify(cab)
    wait_until(lambda: xattrs(mounted.cab(cab))["state"] == "cached", "all is here")
    assert "md5" not in xattrs(mounted.cab(cab))


@pytest.mark.parametrize("payload, kind", [("null-write-mszip.cab", "cab"), ("abort-plain.cab", "cab"),
                                           ("null-write-cab.zip", "zip"), ("divide-files.zip", "zip")])
def test_kind(emulator, mount, payload, kind):
    """What the first bytes say, whatever the name says."""
    emulator.add_cabs(APP, FAILURE, payload=payload)
    cab, = emulator.cabs(APP)
    mounted = mount()
    assert "kind" not in xattrs(mounted.cab(cab))
    mounted.verify(cab)
    assert xattrs(mounted.cab(cab))["kind"] == kind


def test_fields_cannot_pretend(emulator, mount):
    """A row says nothing of itself in our place, and brings no address."""
    emulator.add_cabs(APP, FAILURE, size=100, fields={
        "state": "cached", "kind": "cab", "etag": "x", "date": "2020-01-01", "link": "https://example.com/?sig=abc",
        "signature": "sv=1&sig=abc", "empty": "", "number": 1234567890123456789, "fraction": 0.5, "yes": True,
        "nothing": None, "list": [1], "n" * 300: "long", "text": "x" * 5000})
    cab, = emulator.cabs(APP)
    path = mount().cab(cab)
    assert xattrs(path) == {"state": "remote", "date": iso(cab["date"]), "expires": iso(cab["expires"]), "empty": "",
                            "number": "1234567890123456789", "fraction": "0.5", "yes": "true", "text": "x" * 5000}


def test_attributes_of_directories(emulator, mount):
    """The failure has the fields of its row and what is known of its list, the root the version; no request for it.
    [F10]"""
    now = int(time.time())
    emulator.add_dataset([{"id": APP, "failures": [{
        "hash": FAILURE, "fields": {"failureName": "0x133_ISR_acme!Isr", "eventType": "System crash"},
        "cabs": [{"count": 3, "date": now - 2 * DAY}], "events": [{"date": now - 3 * DAY, "count": 40}]}]}])
    root = mount().path
    version = subprocess.run([PROGRAM, "--version"], capture_output=True, text=True, check=True, timeout=60).stdout
    assert xattrs(root) == {"version": version.split()[-1]}
    assert xattrs(root / APP) == {}
    assert no_request(emulator)
    row = {"applicationId": APP, "failureName": "0x133_ISR_acme!Isr", "eventType": "System crash", "eventCount": "43"}
    listed(root / APP)
    emulator.reset_counters()
    assert xattrs(root / APP) == {"stale": "0", "failures": "1"}
    assert xattrs(root / APP / FAILURE) == row
    assert no_request(emulator)
    listed(root / APP / FAILURE)
    emulator.reset_counters()
    assert xattrs(root / APP / FAILURE) == {"stale": "0", "cabs": "3", **row}
    assert no_request(emulator)


def test_attributes_of_others(emulator, mount):
    """What `ls -l` and others ask for is not there, and asking does not switch ours off."""
    emulator.add_cabs(APP, FAILURE, size=10)
    cab, = emulator.cabs(APP)
    path = mount().cab(cab)
    os.stat(path)
    emulator.reset_counters()
    for name in ("security.selinux", "security.capability", "security.ima", "system.posix_acl_access",
                 "trusted.overlay.opaque"):  # another answer, and `ls -l` asks for each file
        assert errno_of(os.getxattr, path, name) in ("EOPNOTSUPP", "ENOTSUP"), name
    for name in ("user.x", "user.cabfs", "user.cabfs.", "user.cabfs.nothing"):
        assert errno_of(os.getxattr, path, name) == "ENODATA", name
    assert no_request(emulator)
    assert os.getxattr(path, "user.cabfs.state") == b"remote"
    libc = ctypes.CDLL(None, use_errno=True)
    buffer = ctypes.create_string_buffer(3)
    assert libc.getxattr(os.fsencode(path), b"user.cabfs.state", buffer, 3) == -1
    assert ctypes.get_errno() == errno.ERANGE
    assert libc.getxattr(os.fsencode(path), b"user.cabfs.state", None, 0) == len("remote")
    assert libc.listxattr(os.fsencode(path), buffer, 3) == -1 and ctypes.get_errno() == errno.ERANGE


# --- stat -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("words, owner, umask", [
    (None, (os.getuid(), os.getgid()), 0), ("umask=027", (os.getuid(), os.getgid()), 0o027),
    ("uid=1234,gid=4321", (1234, 4321), 0), ("umask=0077,uid=7,gid=8", (7, 8), 0o077)])
def test_modes_and_owner(emulator, mount, words, owner, umask):
    """0444 and 0555 less the umask, owned by who mounts or who is named; the same by stat and after readdir."""
    emulator.add_cabs(APP, FAILURE, size=10)
    cab, = emulator.cabs(APP)
    mounted = mount(arguments=["-o", words] if words else [])
    path = mounted.cab(cab)
    for directory in (mounted.path, mounted.path / APP, path.parent):
        found = os.stat(directory)
        assert (found.st_uid, found.st_gid, found.st_mode) == (*owner, stat.S_IFDIR | 0o555 & ~umask)
        assert found.st_size == 0
    for _ in range(2):  # the second time what readdir told
        found = os.stat(path)
        assert (found.st_uid, found.st_gid, found.st_mode) == (*owner, stat.S_IFREG | 0o444 & ~umask)
        assert found.st_nlink == 1 and found.st_size == 10
        listed(path.parent)


def inodes(root):
    """Path and inode of everything, and what readdir says of it."""
    found, told = {"": os.stat(root).st_ino}, {}
    for directory, names, files in os.walk(root):
        with os.scandir(directory) as entries:
            for entry in entries:
                told[os.path.relpath(entry.path, root)] = entry.inode()
        for name in names + files:
            path = os.path.join(directory, name)
            found[os.path.relpath(path, root)] = os.stat(path).st_ino
    return found, told


def test_inodes(emulator, mount):
    """st_ino is a hash of the path: unique, the same as d_ino, and the same over remounts and on every machine."""
    emulator.add_cabs(APP, FAILURE, count=20, size=10)
    emulator.add_cabs(APP, OTHER_FAILURE, ids=["fb57b37b-d364-4caf-995b-d99ae651ee18"], size=10)
    mounted = mount()
    found, told = inodes(mounted.path)
    assert len(found) == 1 + 1 + 2 + 21
    assert found == {"": 1, **told}
    assert len(set(found.values())) == len(found)
    assert inodes(mounted.path)[0] == found
    mounted.remount()
    assert inodes(mounted.path) == (found, told)
    assert found[APP] == 6944590955640029482
    assert found[f"{APP}/{OTHER_FAILURE}"] == 1853988661428145644
    assert found[f"{APP}/{OTHER_FAILURE}/fb57b37b-d364-4caf-995b-d99ae651ee18.cab"] == 17405270304603591540
    dots = subprocess.run(["ls", "-1aif", mounted.path / APP / FAILURE], capture_output=True, text=True, check=True,
                          timeout=60).stdout.split()
    assert {dots[i + 1]: int(dots[i]) for i in range(0, len(dots), 2) if dots[i + 1] in (".", "..")} == {
        ".": found[f"{APP}/{FAILURE}"], "..": found[APP]}


def test_times(emulator, mount):
    """A CAB has its date, a failure the newest that is known of its CABs, before that the day of its row."""
    date = int(time.time()) - 5 * DAY - 1234
    emulator.add_cabs(APP, FAILURE, count=5, size=10, date=date, step=DAY)
    mounted = mount()
    path = mounted.path / APP
    listed(path)
    assert os.stat(path / FAILURE).st_mtime == date // DAY * DAY
    listed(path / FAILURE)
    for cab in emulator.cabs(APP):
        found = os.stat(mounted.cab(cab))
        assert (found.st_mtime_ns, found.st_ctime_ns) == (cab["date"] * 10**9,) * 2
    wait_until(lambda: os.stat(path / FAILURE).st_mtime == date, "the newest CAB's date", 10)
    assert os.stat(path / FAILURE).st_ctime == date


def test_statfs(emulator, mount):
    """No blocks, so that df and disk monitors pass over it."""
    path = mount().path
    found = os.statvfs(path)
    assert (found.f_blocks, found.f_bfree, found.f_bavail, found.f_namemax) == (0, 0, 0, 255)
    assert found.f_flag & os.ST_RDONLY
    shown = subprocess.run(["df"], capture_output=True, text=True, timeout=60).stdout
    assert str(path) not in shown
    assert no_request(emulator)


def writes(path, directory):
    """What would change something, as (name, function, arguments)."""
    new = directory / f"{OTHER_FAILURE}.cab"
    libc = ctypes.CDLL(None, use_errno=True)

    def fallocate():
        fd = os.open(path, os.O_RDONLY)
        try:
            os.ftruncate(fd, 0)
        finally:
            os.close(fd)

    def mkfifo():
        if libc.mknod(os.fsencode(new), stat.S_IFREG | 0o644, 0) != 0:
            raise OSError(ctypes.get_errno(), "mknod")

    return [
        ("open O_WRONLY", os.open, (path, os.O_WRONLY)), ("open O_RDWR", os.open, (path, os.O_RDWR)),
        ("open O_TRUNC", os.open, (path, os.O_RDONLY | os.O_TRUNC)),
        ("open O_APPEND", os.open, (path, os.O_WRONLY | os.O_APPEND)),
        ("create", os.open, (new, os.O_WRONLY | os.O_CREAT)), ("unlink", os.unlink, (path,)),
        ("truncate", os.truncate, (path, 0)), ("chmod", os.chmod, (path, 0o644)), ("chown", os.chown, (path, 1, 1)),
        ("utimens", os.utime, (path,)), ("rename", os.rename, (path, new)), ("link", os.link, (path, new)),
        ("symlink", os.symlink, ("x", new)), ("mknod", mkfifo, ()), ("mkdir", os.mkdir, (directory / "new",)),
        ("rmdir", os.rmdir, (directory,)), ("chmod of a directory", os.chmod, (directory, 0o777)),
        ("setxattr", os.setxattr, (path, "user.cabfs.state", b"x")),
        ("setxattr user.x", os.setxattr, (path, "user.x", b"x")),
        ("removexattr", os.removexattr, (path, "user.cabfs.state")),
        ("setxattr of a directory", os.setxattr, (directory, "user.x", b"x")),
        ("access W_OK", access, (path,)),
    ]


def access(path):
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.access(os.fsencode(path), os.W_OK) != 0:
        raise OSError(ctypes.get_errno(), "access")


def test_nothing_can_be_written(emulator, mount):
    """Every call that would change something is EROFS, costs nothing, and changes nothing. [B8]"""
    emulator.add_cabs(APP, FAILURE, size=100)
    cab, = emulator.cabs(APP)
    mounted = mount()
    path = mounted.cab(cab)
    before = os.stat(path)
    emulator.reset_counters()
    tried = {name: errno_of(func, *arguments) for name, func, arguments in writes(path, path.parent)}
    for directory in (mounted.path, mounted.path / APP):
        tried[f"create in {directory.name}"] = errno_of(os.open, directory / "x", os.O_WRONLY | os.O_CREAT)
        tried[f"mkdir in {directory.name}"] = errno_of(os.mkdir, directory / "x")
    assert tried == dict.fromkeys(tried, "EROFS")
    assert requests_of(emulator, *LISTS, "blob-get") == {"hits": 0, "details": 0, "batch": 0, "blob-get": 0}
    assert os.stat(path) == before
    mounted.verify(cab)


def test_ioctls_and_locks(emulator, mount):
    """Reading programs lock and map; that works, or fails in a way they know."""
    import fcntl
    emulator.add_cabs(APP, FAILURE, size=100)
    cab, = emulator.cabs(APP)
    with open(mount().cab(cab), "rb") as file:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        fcntl.flock(file, fcntl.LOCK_UN)
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_SEQUENTIAL)
        assert len(file.read()) == 100
