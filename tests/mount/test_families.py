# SPDX-License-Identifier: MIT
"""Every family of the services through the same tree: one table drives what differs."""
import collections
import datetime
import os
import subprocess
import time

import pytest

from families import (BATCH_TOP, BY_DETAILS, BY_NAME, DAY, DETAILS_TOP, FAMILIES, HITS_TOP, SYSTEM, add_failure, counts,
                      everything, failure_of, iso, name_of, questions, tree, tree_of)
from mount import errno_of, tool, xattrs

A, B = failure_of(0x1fd83f6d), failure_of(0x0137ef52)

each_family = pytest.mark.parametrize("family", FAMILIES, ids=name_of)
each_by_details = pytest.mark.parametrize("family", BY_DETAILS, ids=name_of)


def listed(path):
    return sorted(os.listdir(path))


def names(ids):
    return sorted(f"{cab}.cab" for cab in ids)


def open_once(path):
    os.close(os.open(path, os.O_RDONLY))


# --- one family -------------------------------------------------------------------------------------------------------


@each_family
def test_tree_bytes_dates_attributes(emulator, mount, family):
    """What is configured is listed, and all that is below it is what the services have. [B1]"""
    newest = int(time.time()) // DAY * DAY - 2 * DAY + 3723
    ids = add_failure(emulator, family, A, count=3, size=[4096, 1, 300_001], date=newest, step=3601)
    more = add_failure(emulator, family, B, count=2, size=10, date=newest - DAY, step=60)
    mounted = mount(**{"driver": None, **family.options})
    root = mounted.path
    assert listed(root) == [family.application]
    assert counts(emulator) == {}
    assert listed(root / family.application) == [B, A]
    assert listed(root / family.application / A) == names(ids)
    assert listed(root / family.application / B) == names(more)
    hits, cabs = family.lists
    assert counts(emulator) == {hits: 1, cabs: 2}

    shown = xattrs(root / family.application / A)
    shown.pop("deviceCount", None)
    assert shown == {"stale": "0", "cabs": "3", "failureName": SYSTEM["failureName"], "eventType": "crash",
                     "eventCount": "3", **family.hit}
    fields = {**SYSTEM, **family.fields, **family.product, "sellerId": "10001234"}
    for cab in emulator.cabs():
        found = xattrs(mounted.cab(cab))
        assert {name: found.pop(name) for name in family.row} == {name: fields[name] for name in family.row}
        assert found == {"state": "remote", "date": iso(cab["date"]), "expires": iso(cab["date"] + family.days * DAY)}
    for cab in emulator.cabs():
        found = os.stat(mounted.cab(cab))
        assert (found.st_size, found.st_mtime_ns, found.st_ctime_ns) == (cab["size"], *(cab["date"] * 10**9,) * 2)
        mounted.verify(cab)
    if family.name != "driver":
        asked = {cab["id"]: emulator.counters()["cabs"][cab["id"]]["cabdownload"] for cab in emulator.cabs()}
        assert asked == dict.fromkeys(asked, 1), "an address was asked for again"
        assert set(counts(emulator)) == {hits, cabs, family.prefix + "cabdownload", "blob-head", "blob-get"}
    refused = [entry for entry in emulator.log() if entry["status"] >= 400]
    assert not refused, refused


@each_family
def test_parameters(emulator, mount, family):
    """Each call gets what it must have and nothing else, in the forms that the services' pages have."""
    cab, = add_failure(emulator, family, A)
    mounted = mount(**{"driver": None, **family.options}, days=7)
    today = datetime.datetime.now(datetime.timezone.utc).date()
    assert tree(mounted.path) == tree_of(emulator)
    mounted.verify(emulator.cabs()[0])
    if today != datetime.datetime.now(datetime.timezone.utc).date():
        pytest.skip("midnight")
    first, last = today - datetime.timedelta(7), today + datetime.timedelta(1)
    hits, cabs = family.lists
    assert questions(emulator, hits) == [family.asks(
        startDate=first.strftime("%m/%d/%Y"), endDate=last.strftime("%m/%d/%Y"), top=str(HITS_TOP), skip="0",
        groupby="failureHash,failureName,eventType", aggregationLevel="day")]
    page = {"failureHash": A, "startDate": first.isoformat(), "endDate": last.isoformat(), "skip": "0"}
    if family.name == "driver":
        assert questions(emulator, cabs) == [family.asks(**page, top=str(BATCH_TOP))]
    else:
        assert questions(emulator, cabs) == [family.asks(**page, top=str(DETAILS_TOP), orderby="date")]
        assert questions(emulator, family.prefix + "cabdownload") == [family.asks(**{family.key: cab})]


@each_family
def test_by_name(emulator, mount, family):
    """A path opens without any list above it; a failure that the service does not know is not there."""
    add_failure(emulator, family, A, size=1000)
    cab, = emulator.cabs()
    mounted = mount(**{"driver": None, **family.options})
    assert os.stat(mounted.cab(cab)).st_size == 1000
    mounted.verify(cab)
    assert family.lists[0] not in counts(emulator)
    assert errno_of(os.stat, mounted.path / family.application / B) == "ENOENT"


@pytest.mark.parametrize("family", [family for family in FAMILIES if family.named], ids=name_of)
def test_family_of_what_is_not_listed(emulator, mount, family):
    """An application that nobody listed is of the family in `family`, by default a driver."""
    add_failure(emulator, family, A)
    root = mount(driver=None, family=family.name).path
    assert listed(root) == []
    assert listed(root / family.application) == [A]
    assert tree(root) == tree_of(emulator)


@pytest.mark.parametrize("name", ["ihvdriver", "hardware", "driver", "desktop", "store"])
def test_names_of_families_are_no_applications(emulator, mount, name):
    """A family without applications is there only when it is configured."""
    root = mount(driver=None).path
    assert errno_of(os.stat, root / name) == "ENOENT"
    assert counts(emulator) == {}


@each_family
def test_more_than_a_page(emulator, mount, family):
    """Lists go on after 10,000 rows, and no cap of the service on weeks or months cuts them."""
    hashes = [failure_of(n) for n in range(HITS_TOP + 50)]
    now = int(time.time()) - 7200
    emulator.add_dataset([{"id": family.application, "family": family.name, "failures": [
        {"hash": name, "events": [{"date": now, "count": 2}]} for name in hashes]}])
    ids = add_failure(emulator, family, hashes[0], count=DETAILS_TOP + 7, size=1)
    root = mount(**{"driver": None, **family.options}).path
    assert listed(root / family.application) == hashes
    assert listed(root / family.application / hashes[0]) == names(ids)
    hits, cabs = family.lists
    assert counts(emulator) == {hits: 2, cabs: 101 if family.name == "driver" else 2}
    assert [question["skip"] for question in questions(emulator, hits)] == ["0", "10000"]


# --- all of them ------------------------------------------------------------------------------------------------------


def pages(rows, top):
    """Requests for a list: only a page that is not full ends it."""
    return rows // top + 1


def test_mixed_account(emulator, mount):
    """Eight directories, forty failures, 5,000 CABs: all listed once, with as many requests as there are pages."""
    applications = [("driver", BY_NAME["driver"].application), ("driver", "14208311096254871"),
                    ("driver", "13760254918837702"), ("desktop", BY_NAME["desktop"].application),
                    ("desktop", "15787360021947735102"), ("store", "9NBLGGGZ5QDR"), ("ihvdriver", "ihvdriver"),
                    ("hardware", "hardware")]
    sizes = [99, 100, 101, 0, 1] + [117, 163, 57, 250, 88] * 7
    sizes[-1] += 5000 - sum(sizes)
    asked = collections.Counter()
    for number, size in enumerate(sizes):
        name, application = applications[number % len(applications)]
        family = BY_NAME[name]
        add_failure(emulator, family, failure_of(number), application, count=size, size=[0, 1, 5000])
        emulator.add_dataset([{"id": application, "failures": [{"hash": failure_of(number), "events": [
            {"date": int(time.time()) - 3600, "count": 1}]}]}])
        asked[family.lists[1]] += pages(size, BATCH_TOP if name == "driver" else DETAILS_TOP)
    for name, _ in applications:
        asked[BY_NAME[name].lists[0]] += 1
    options = collections.defaultdict(list)
    for name, application in applications:
        options[BY_NAME[name].option or name].append(application)
    mounted = mount(**options)
    result = subprocess.run(f"{tool('find')} {mounted.path} -name '*.cab' | wc -l", shell=True, capture_output=True,
                            text=True, check=True, timeout=300)
    assert (int(result.stdout), result.stderr) == (5000, "")
    lists = {name: count for name, count in counts(emulator).items() if name in asked}
    assert lists == asked
    assert not {"blob-get", "other"} & counts(emulator).keys() and emulator.counters(cabs=False)["refused"] == 0
    assert tree(mounted.path) == tree_of(emulator)
    assert sum(len(os.listdir(mounted.path / application)) for _, application in applications) == 40
    assert {name: count for name, count in counts(emulator).items() if name in asked} == asked
    for cab in emulator.cabs()[::331]:
        mounted.verify(cab)


VARIANTS = [
    ("paging", {"form": "overlap", "rows": 7}), ("paging", {"form": "short", "rows": 30}), ("paging", {"form": "repeat"}),
    ("paging", {"form": "skip-ignored"}),
    *(("next-link", {"form": form}) for form in (
        "absent", "null", "empty", "relative", "absolute", "unencoded", "malformed", "foreign")),
    *(("next-link", {"form": form, "last": True}) for form in ("relative", "absolute", "unencoded", "malformed",
                                                               "foreign", "null", "empty")),
    *(("casing", {"envelope": case, "rows": case}) for case in ("lower", "upper", "title")),
    ("types", {"numbers": "string"}), ("types", {"numbers": "fraction"}), ("types", {"null": "market"}),
    ("types", {"null": "applicationId"}), ("types", {"null": "failureName"}), ("types", {"unknown": True}),
    ("types", {"bom": True}), ("types", {"blanks": True}), ("foreign-rows", {"field": "failureHash"}),
]


def some_of_all(emulator, count=70, **rule):
    """CABs of every family, in two failures each."""
    for family in FAMILIES:
        add_failure(emulator, family, A, count=count, size=10, **rule)
        add_failure(emulator, family, B, count=2, size=10, seed=2, **rule)


@pytest.mark.parametrize("fault, arguments", VARIANTS, ids=str)
def test_variants(emulator, mount, fault, arguments):
    """Whatever form the answers have, the lists of all families are right, with no name twice and an end."""
    some_of_all(emulator)
    arguments = dict(arguments)
    if fault == "foreign-rows":  # in a list of failures it is a failure, not a foreign row
        emulator.fault(fault, ["batch", *(family.lists[1] for family in BY_DETAILS)], **arguments)
    else:
        emulator.fault(fault, "*", **arguments)
    root = mount(**everything()).path
    assert tree(root) == tree_of(emulator)
    for family in FAMILIES:
        shown = {name.lower(): value for name, value in xattrs(root / family.application / A).items()}
        assert (shown["cabs"], shown.get("skipped")) == ("70", "1" if fault == "foreign-rows" else None)
        if arguments.get("numbers") != "fraction" and arguments.get("form") != "repeat":
            assert shown["eventcount"] == "70"
    most = {"short": 70 // 30 + 2}.get(arguments.get("form"), 2)
    assert all(count <= 2 * most for count in counts(emulator).values())


@pytest.mark.parametrize("form", ["blank", "day", "slashes", "us", "us-short", "t", "z", "fraction", "offset",
                                  "missing", "nonsense"])
def test_dates(emulator, mount, form):
    """A date is read in whichever form it comes; where it cannot be, the CAB is there without."""
    some_of_all(emulator, 2, date="2026-11-03 04:05:06", step=DAY, expiresAfter=300 * DAY)
    emulator.fault("dates", "*", form=form)
    mounted = mount(**everything(), days=300)
    assert tree(mounted.path) == tree_of(emulator)
    for cab in emulator.cabs():
        dates = {"date": cab["date"], "expires": cab["expires"]}
        if form in ("day", "slashes", "us", "us-short"):
            dates = {name: date // DAY * DAY for name, date in dates.items()}
        shown = xattrs(mounted.cab(cab))
        expected = {} if form in ("missing", "nonsense") else {name: iso(date) for name, date in dates.items()}
        assert {name: shown[name] for name in ("date", "expires") if name in shown} == expected, cab


HOSTILE = 20 - 2  # of the emulator's twenty, two are odd but safe: "-", and true, which is read as a word


def test_hostile_identifiers(emulator, mount):
    """What is no safe name is never one; how many rows were left out is in an attribute and in the log."""
    some_of_all(emulator, 3)
    emulator.fault("identifiers", "*")
    mounted = mount(**everything())
    root = mounted.path
    for family in FAMILIES:
        directory = root / family.application
        assert listed(directory) == sorted([A, B, "-", "true"])
        for failure in (A, B):
            ids = [cab["id"] for cab in emulator.cabs(family.application, failure)]
            assert listed(directory / failure) == names([*ids, "-", "true"])
            assert xattrs(directory / failure)["skipped"] == str(HOSTILE)
            scope = f"{family.name}/{family.application}/{failure}"
            assert f"{scope}: {HOSTILE} rows of the list were skipped" in mounted.log()
        assert xattrs(directory)["skipped"] == str(HOSTILE)


# --- a family that is gone ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status, error", [(404, "ENOENT"), (410, "ENOENT"), (403, "EACCES")])
@each_family
def test_gone(emulator, mount, family, status, error):
    """The others work, the root is listed, and the log says once what is not available."""
    some_of_all(emulator, 3)
    add_failure(emulator, family, B, "20000000000000007") if family.named and family.name != "store" else None
    emulator.fault("status", family.endpoints, status=status)
    mounted = mount(**everything())
    root = mounted.path
    assert listed(root) == sorted(family.application for family in FAMILIES)
    for other in FAMILIES:
        if other is family:
            continue
        for failure in listed(root / other.application):
            ids = [cab["id"] for cab in emulator.cabs(other.application, failure)]
            assert listed(root / other.application / failure) == names(ids)
        mounted.verify(emulator.cabs(other.application)[0])
    for _ in range(2):
        assert errno_of(os.listdir, root / family.application) == error
        assert errno_of(os.listdir, root / family.application / A) == error
    assert listed(root) == sorted(family.application for family in FAMILIES)
    lines = [line for line in mounted.log().splitlines() if "is not available" in line]
    assert len(lines) == 1 and f'family "{family.name}" is not available' in lines[0], lines


@pytest.mark.parametrize("status", [404, 410, 403])
def test_driver_by_details(emulator, mount, status):
    """Where the batch is gone, details and cabdownload do; the batch is not asked again and again."""
    family = BY_NAME["driver"]
    add_failure(emulator, family, A, count=3, size=1000)
    add_failure(emulator, family, B, count=2, size=1000)
    emulator.fault("status", "batch", status=status)
    mounted = mount(**family.options)
    assert tree(mounted.path) == tree_of(emulator)
    for cab in emulator.cabs():
        mounted.verify(cab)
    seen = counts(emulator)
    assert (seen["hits"], seen["batch"], seen["details"], seen["cabdownload"]) == (1, 1, 2, 5)
    assert questions(emulator, "cabdownload")[0].keys() == {"applicationId", "cabIdHash"}
    assert len([line for line in mounted.log().splitlines() if "another call of it" in line]) == 1


def test_driver_by_batch_again(emulator, mount):
    """Details that were gone over to for a moment, and do not answer now, are not all there is."""
    family = BY_NAME["driver"]
    add_failure(emulator, family, A, count=2, size=1000)
    add_failure(emulator, family, B, count=2, size=1000)
    mounted = mount(**family.options)
    fault = emulator.fault("status", "batch", status=403)
    assert len(listed(mounted.path / family.application / A)) == 2
    emulator.clear_faults(fault)
    emulator.fault("status", ["details", "cabdownload"], status=403)
    assert len(listed(mounted.path / family.application / B)) == 2
    for cab in emulator.cabs():
        mounted.verify(cab)


# --- the CAB step -------------------------------------------------------------------------------------------------------


@each_family
def test_not_downloadable(emulator, mount, family):
    """A row that says so costs no request, and is shown or hidden."""
    good, denied = add_failure(emulator, family, A, count=2, size=1000)
    emulator.change_cab(denied, cabDownloadable=False)
    mounted = mount(**{"driver": None, **family.options})
    folder = mounted.path / family.application / A
    assert listed(folder) == names([good, denied])
    emulator.reset_counters()
    assert [errno_of(open_once, folder / f"{denied}.cab") for _ in range(3)] == ["EACCES"] * 3
    assert os.stat(folder / f"{denied}.cab").st_size == 0
    assert counts(emulator) == {}
    assert xattrs(folder / f"{denied}.cab")["cabDownloadable"] == "false"
    assert "not downloadable for this account" in mounted.log()
    open_once(folder / f"{good}.cab")
    hidden = mount(**{"driver": None, **family.options}, undownloadable="hide").path / family.application / A
    assert listed(hidden) == names([good])


@each_by_details
def test_refused_cab(emulator, mount, family):
    """401 on the CAB step is of that CAB: one new token at most, EACCES, remembered, and nothing else suffers.
    [E3, E10]"""
    good, denied = add_failure(emulator, family, A, count=2, size=1000)
    emulator.fault("status", family.prefix + "cabdownload", status=401, path=denied)
    mounted = mount(**{"driver": None, **family.options}, sizes="lazy")
    folder = mounted.path / family.application / A
    assert listed(folder) == names([good, denied])
    issued = emulator.counters(cabs=False)["tokensIssued"]
    assert [errno_of(open_once, folder / f"{denied}.cab") for _ in range(5)] == ["EACCES"] * 5
    found = emulator.counters()
    assert found["tokensIssued"] <= issued + 1
    assert found["cabs"][denied]["cabdownload"] <= 2
    emulator.reset_counters()
    cabs = {cab["id"]: cab for cab in emulator.cabs()}
    mounted.verify(cabs[good])
    add_failure(emulator, family, B)
    assert listed(mounted.path / family.application / B) != []
    assert emulator.counters(cabs=False)["tokensIssued"] == 0, "the credentials were doubted"


@each_by_details
def test_renewal_is_one_request(emulator, mount, family):
    """An address that is of no use is replaced by one call for that CAB, without any list."""
    add_failure(emulator, family, A, count=50, size=100_000)
    cab = emulator.cabs()[17]
    mounted = mount(**{"driver": None, **family.options}, sizes="lazy")
    listed(mounted.cab(cab).parent)
    emulator.reset_counters()
    emulator.fault("sas", family.prefix + "cabdownload", signature="wrong", count=1)
    mounted.verify(cab)
    seen = counts(emulator)
    assert seen.pop(family.prefix + "cabdownload") == 2
    assert set(seen) <= {"blob-head", "blob-get"}


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@each_by_details
def test_redirects(emulator, mount, family, status):
    """Any status that redirects will do."""
    add_failure(emulator, family, A, size=5000)
    emulator.fault("redirect", family.prefix + "cabdownload", status=status)
    mount(**{"driver": None, **family.options}).verify(emulator.cabs()[0])


@pytest.mark.parametrize("form, errors", [
    ("relative", {"EACCES", "EIO"}), ("missing", {"EIO"}), ("http", {"EACCES"}), ("foreign", {"EACCES"}),
    ("loop", {"EACCES"}), ("body", {"EIO"})])
def test_redirects_that_lead_nowhere(emulator, mount, form, errors):
    """No address, or one that is not of a blob host, is a clear error: no loop, no token elsewhere, no wrong byte."""
    family = BY_NAME["desktop"]
    good, bad = add_failure(emulator, family, A, count=2, size=5000)
    emulator.fault("redirect", "desktop-cabdownload", form=form, path=bad)
    mounted = mount(**{"driver": None, **family.options}, sizes="lazy", retries=2)
    folder = mounted.path / family.application / A
    assert listed(folder) == names([good, bad])
    assert errno_of(open_once, folder / f"{bad}.cab") in errors
    assert emulator.counters()["cabs"][bad]["cabdownload"] <= 3
    assert f"{bad}" in mounted.log()
    mounted.verify({cab["id"]: cab for cab in emulator.cabs()}[good])


def test_sample_of_the_batch(emulator, mount):
    """The rows that the service's own page shows, as it would send them."""
    text = """{"Value": [
      {"applicationId": "14000000000000001", "submissionId": "29900001_14000000000000001_1152921504606912345",
       "failureHash": "%(hash)s", "cabIdHash": "fb57b37b-d364-4caf-995b-d99ae651ee18",
       "cabUrl": "%(blob)s/kernel-20170407/fb57b37b-d364-4caf-995b-d99ae651ee18.ext.zip?sv=2015-07-08&sr=b&sig=q%%2BW%%2FeR0%%3D&se=2017-04-28T02%%3A37%%3A28Z&sp=r",
       "date": "2017-04-07 13:53:43", "cabExpirationTime": "2017-05-07 13:53:43"},
      {"applicationId": "14000000000000001", "submissionId": "29900001_14000000000000001_1152921504606912345",
       "failureHash": "%(hash)s", "cabIdHash": "6d1c0e34-9a52-4b8e-8f10-2b7a5c9e4d01",
       "cabUrl": "%(blob)s/kernel-20170411/6d1c0e34-9a52-4b8e-8f10-2b7a5c9e4d01.ext.zip?sv=2015-07-08&sr=b&sig=aB%%2Bc%%3D&se=2017-04-28T02%%3A37%%3A28Z&sp=r",
       "date": "2017-04-11 08:00:01", "cabExpirationTime": "2017-05-11 08:00:01"}]}"""
    emulator.add_cabs("14000000000000001", A)
    emulator.fault("answer", "batch", text=text % {"hash": A, "blob": emulator.blob})
    folder = mount(driver=["14000000000000001"]).path / "14000000000000001" / A
    assert listed(folder) == ["6d1c0e34-9a52-4b8e-8f10-2b7a5c9e4d01.cab", "fb57b37b-d364-4caf-995b-d99ae651ee18.cab"]
    assert xattrs(folder / "fb57b37b-d364-4caf-995b-d99ae651ee18.cab") == {
        "state": "remote", "date": "2017-04-07T13:53:43Z", "expires": "2017-05-07T13:53:43Z",
        "submissionId": "29900001_14000000000000001_1152921504606912345"}
