# SPDX-License-Identifier: MIT
"""The calls of all families of the API host against the wire contract: parameters, rows, products, faults."""

import dataclasses
import datetime
import json
import re
import time

import pytest

from emulator import EmulatorError
from service import HASH, fetch

BASE = "/v1.0/my/analytics/"
DAY = 86400
SYSTEM = {"failureName": "AV_x!Y", "symbol": "x!Y", "osVersion": "Windows 11", "eventType": "crash", "market": "DE",
          "deviceType": "PC"}


@dataclasses.dataclass
class Family:
    name: str
    prefix: str
    application: str  # None: the family has none
    key: str
    days: int  # that a CAB is kept
    grouped: list  # fields of a row besides those of groupby
    own: dict  # fields that are this family's
    details: list = None  # the fields of a row of details that are not those of `own` and SYSTEM
    counts: tuple = ("eventCount",)
    stacks: bool = False
    filter: str = "failureName"

    @property
    def owner(self):
        return self.application or self.name

    @property
    def endpoint(self):
        return "" if self.name == "driver" else self.name + "-"

    def asks(self, **query):
        return {**({"applicationId": self.application} if self.application else {}), **query}


ECHO = ["applicationId", "failureHash"]
FAMILIES = [
    Family("driver", "driver/", "13984104677400476", "cabIdHash", 30, ["date", "applicationId"],
           {"submissionId": "1_2_3", "driverName": "a.sys", "driverVersion": "1.2", "architecture": "x64",
            "oemName": "o", "oemModel": "m", "flightRing": "Retail", "osName": "Windows 11"},
           [*ECHO, "cabIdHash", "cabExpirationTime", "cabType"]),
    Family("desktop", "desktop/", "10238467886765136388", "cabIdHash", 30,
           ["date", "applicationId", "applicationName"],
           {"fileName": "a.exe", "applicationVersion": "1.2", "osBuild": "10.0", "osRelease": "23H2"},
           [*ECHO, "cabIdHash", "cabExpirationTime", "cabDownloadable"], stacks=True, filter="market"),
    Family("store", "", "9NBLGGGZ5QDR", "cabId", 35, ["date", "applicationId", "applicationName"],
           {"packageVersion": "1.2", "osRelease": "23H2"}, [*ECHO, "cabId", "cabExpirationTime", "cabDownloadable"],
           ("deviceCount", "eventCount"), True, "market"),
    Family("ihvdriver", "ihvdriver/", None, "cabIdHash", 90, ["date"],
           {"driverName": "a.sys", "driverVersion": "1.2", "architecture": "x64", "oemName": "o", "oemModel": "m",
            "flightRing": "Retail", "osName": "Windows 7", "sellerId": "10001234"},
           ["failureHash", "cabIdHash", "cabExpirationTime", "cabType"]),
    Family("hardware", "hardware/", None, "cabIdHash", 90, ["date"],
           {"moduleName": "a", "moduleVersion": "1", "mode": "kernel", "model": "T1", "baseboard": "B1",
            "modelFamily": "T", "architecture": "x64", "flightRing": "Retail", "osName": "Windows 10",
            "sellerId": "10001234"},
           ["failureHash", "cabIdHash", "cabExpirationTime", "cabType"]),
]
NAMES = [family.name for family in FAMILIES]
BY_NAME = dict(zip(NAMES, FAMILIES))


@pytest.fixture(params=FAMILIES, ids=NAMES)
def family(request):
    return request.param


def add(emulator, family, failure=HASH, **rule):
    fields = {"cabType": "MINI"} if family.name in ("driver", "ihvdriver", "hardware") else {}
    rule.setdefault("fields", fields)
    return emulator.add_dataset([{
        "id": family.owner, "family": family.name, "fields": {"productName": "P", "applicationName": "P"}
        if family.grouped[-1] == "applicationName" else {},
        "failures": [{"hash": failure, "fields": {**SYSTEM, **family.own}, "cabs": [rule]}]}])


def call(api, family, name, **query):
    return api.get(BASE + family.prefix + name, None, **family.asks(**query))


def rows_of(answer):
    assert answer.status == 200, answer.body
    return answer.json()["Value"]


def refusal(answer):
    assert answer.status == 400 and answer.json()["innererror"]["code"] == "InvalidQueryParameters", answer.body
    return answer.json()["innererror"]["data"][0]


# --- failures ---------------------------------------------------------------------------------------------------

def test_hits(emu, api, family):
    add(emu, family, count=3, date="2026-11-02 12:00:00")
    start = {"startDate": "10/01/2026", "endDate": "11/30/2026"}
    row, = rows_of(call(api, family, "failurehits", **start, groupby="failureHash,failureName,eventType",
                        aggregationLevel="day"))
    assert list(row) == [*family.grouped, "failureHash", "failureName", "eventType", *family.counts]
    assert row["date"] == "2026-11-02" and row["eventCount"] == 3 and row["failureHash"] == HASH
    row, = rows_of(call(api, family, "failurehits", **start))
    assert {**row, **SYSTEM} == row and ("applicationId" in row) == (family.application is not None)
    assert ("sellerId" in row) == (family.application is None)
    assert emu.requests(family.endpoint + "hits") == 2


def test_hits_pages_and_default_dates(emu, api, family):
    now = int(time.time())
    for day in range(3):
        add(emu, family, f"{day}fd83f6d-9fe0-96ec-2c47-ef08b65ccbed", date=now - day * DAY)
    assert len(rows_of(call(api, family, "failurehits"))) == 1
    start = (datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(days=9)).strftime("%m/%d/%Y")
    pages = [rows_of(call(api, family, "failurehits", startDate=start, top=2, skip=skip)) for skip in (0, 2, 4)]
    assert [len(page) for page in pages] == [2, 1, 0]
    link = call(api, family, "failurehits", startDate=start, top=2).json()["@nextLink"]
    assert link.startswith(family.prefix + "failurehits?") and "skip=2" in link
    assert rows_of(api.get(BASE + link.split("?")[0], None, **dict(
        pair.split("=") for pair in link.replace("%2F", "/").split("?")[1].split("&")))) == pages[1]


def test_hits_buckets(emu, api, family):
    emu.add_dataset([{"id": family.owner, "family": family.name, "failures": [
        {"hash": f"{n:08d}", "events": [{"date": 1793577600, "count": 1}]} for n in range(1005)]}])
    for level, count in (("day", 1005), ("week", 1000), ("month", 1000)):
        assert len(rows_of(call(api, family, "failurehits", startDate="10/01/2026", groupby="failureHash",
                                aggregationLevel=level))) == count


def test_hours(emu, api, family):
    """Only Store apps have them, and only of the last 72."""
    now = int(time.time())
    add(emu, family, count=2, date=[now - 60, now - 80 * 3600])
    answer = call(api, family, "failurehits", startDate=time.strftime("%Y-%m-%d", time.gmtime(now - 9 * DAY)),
                  aggregationLevel="hour", groupby="failureHash")
    if family.name == "store":
        row, = rows_of(answer)
        assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:00:00", row["date"])
    else:
        assert "aggregationLevel" in refusal(answer)


# --- CABs -------------------------------------------------------------------------------------------------------

def test_details(emu, api, family):
    cab, = add(emu, family, date="2026-11-02 12:00:00")
    row, = rows_of(call(api, family, "failuredetails", failureHash=HASH, startDate="2026-11-01", orderby="date"))
    assert set(row) == {"date", *family.details, *family.own, *SYSTEM} - {
        "desktop": {"symbol", "eventType"}, "store": {"symbol", "eventType"}}.get(family.name, set())
    assert row["date"] == "2026-11-02 12:00:00" and row[family.key] == cab
    expires = datetime.datetime(2026, 11, 2, 12) + datetime.timedelta(days=family.days)
    assert row["cabExpirationTime"] == expires.strftime("%Y-%m-%d %H:%M:%S")
    assert re.fullmatch(r"\d{13,19}" if family.key == "cabId" else "[0-9a-f-]{36}", cab)
    assert emu.requests(family.endpoint + "details") == 1


def test_details_pages(emu, api, family):
    ids = add(emu, family, count=25, step=DAY)
    assert len(rows_of(call(api, family, "failuredetails", failureHash=HASH, startDate="2020-01-01"))) == 25
    newest = [row[family.key] for row in rows_of(
        call(api, family, "failuredetails", failureHash=HASH, orderby="date desc", top=5, skip=2))]
    assert newest == ids[2:7]
    assert rows_of(call(api, family, "failuredetails", failureHash="0" * 16)) == []
    answer = call(api, family, "failuredetails", failureHash=HASH, top=5).json()
    assert "skip=5" in answer["@nextLink"]
    assert answer.get("TotalCount") == (25 if family.application else None)


@pytest.mark.parametrize("query, words", [
    ({"failureHash": None}, "failureHash is required"),
    ({"top": 10001}, "top cannot exceed 10000"),
    ({"groupby": "market"}, "groupby is not a parameter"),
    ({"filter": "nothing eq 'x'"}, "filter"),
    ({"orderby": "nothing"}, "orderby"),
])
def test_bad_details(emu, api, family, query, words):
    add(emu, family)
    assert words in refusal(call(api, family, "failuredetails", **{"failureHash": HASH, **query}))


def test_application(emu, api, family):
    """Families that have one want it, and know only their own; the others refuse it."""
    add(emu, family)
    for other in FAMILIES:
        if other.application and other is not family:
            add(emu, other, "2" + HASH[1:])
    for name, query in (("failurehits", {}), ("failuredetails", {"failureHash": HASH})):
        if family.application is None:
            assert api.get(BASE + family.prefix + name, None, **query).status == 200
            for application in (family.name, "13984104677400476", ""):
                refused = api.get(BASE + family.prefix + name, None, applicationId=application, **query)
                assert "applicationId is not a parameter" in refusal(refused)
            continue
        assert "applicationId is required" in refusal(api.get(BASE + family.prefix + name, None, **query))
        for other in FAMILIES:
            if other.application:
                answer = api.get(BASE + family.prefix + name, None, applicationId=other.application, **query)
                assert answer.status == (200 if other is family else 404)


@pytest.mark.parametrize("family", [family for family in FAMILIES if family.application is None],
                         ids=lambda family: family.name)
def test_account_without_failures(emu, api, family):
    assert rows_of(call(api, family, "failurehits")) == []
    assert rows_of(call(api, family, "failuredetails", failureHash=HASH)) == []


def test_filters(emu, api, family):
    add(emu, family)
    for text, count in ((f"{family.filter} eq '{SYSTEM[family.filter]}'", 1), (f"{family.filter} ne 'DE'", None),
                        (f"{family.key} eq 'x'", 0)):
        rows = rows_of(call(api, family, "failuredetails", failureHash=HASH, filter=text))
        assert count is None or len(rows) == count


def test_order_by_what_no_filter_takes(emu, api):
    """The hits of drivers of Windows 7 can be sorted by osName, but not filtered."""
    family = BY_NAME["ihvdriver"]
    add(emu, family)
    assert call(api, family, "failurehits", orderby="osName").status == 200
    assert "filter" in refusal(call(api, family, "failurehits", filter="osName eq 'Windows 7'"))


def test_cabdownload(emu, api, family):
    cab, denied = add(emu, family, count=2, size=100)
    emu.change_cab(denied, cabDownloadable=False)
    answer = call(api, family, "cabdownload", **{family.key: cab})
    assert answer.status == 302 and answer.body == b""
    assert fetch(answer.headers["Location"]).body == emu.content(cab)
    assert call(api, family, "cabdownload", **{family.key: denied}).status == 401
    assert call(api, family, "cabdownload", **{family.key: "unknown"}).status == 404
    wrong = "cabId" if family.key == "cabIdHash" else "cabIdHash"
    assert f"{family.key} is required" in refusal(call(api, family, "cabdownload", **{wrong: cab}))
    assert f"{wrong} is not" in refusal(call(api, family, "cabdownload", **{wrong: cab, family.key: cab}))
    for other in FAMILIES:
        if other is not family:
            asks = {other.key: cab, **({"applicationId": family.owner} if other.application else {})}
            assert api.get(f"{BASE}{other.prefix}cabdownload", None, **asks).status == 404
    assert emu.counters()["cabs"][cab]["cabdownload"] >= 2
    assert emu.requests(family.endpoint + "cabdownload") == 5
    row = [row for row in rows_of(call(api, family, "failuredetails", failureHash=HASH)) if row[family.key] == denied]
    assert row[0]["cabDownloadable"] is False


def test_stacktrace(emu, api, family):
    cab, = add(emu, family)
    answer = call(api, family, "stacktrace", **{family.key: cab})
    if not family.stacks:
        assert answer.status == 404 and emu.requests("other") == 1
        return
    rows = rows_of(answer)
    blame = ["isBlamedFrame"] if family.name == "store" else []
    assert all(list(row) == ["level", "image", "function", "offset", *blame] for row in rows)
    assert [row["level"] for row in rows] == ["0", "1", "2", "3"] and rows[3]["function"] == ""
    assert answer.json()["@nextLink"] is None and answer.json()["TotalCount"] == 4
    assert call(api, family, "stacktrace", **{family.key: "unknown"}).status == 404
    assert "top is not a parameter" in refusal(call(api, family, "stacktrace", **{family.key: cab}, top=1))
    assert emu.counters()["cabs"][cab]["stacktrace"] == 2
    assert emu.requests(family.endpoint + "stacktrace") == 3


def test_only_drivers_have_a_batch(emu, api, family):
    add(emu, family)
    answer = call(api, family, "cabdownloadbatch", failureHash=HASH)
    assert answer.status == (200 if family.name == "driver" else 404)


# --- products ---------------------------------------------------------------------------------------------------

def products(emulator, **families):
    emulator.add_dataset([{"id": id, "family": family} for family, ids in families.items() for id in ids])


def test_applications(emu, api):
    assert api.get("/v1.0/my/applications").status == 404  # the account has none
    ids = [f"9NBLGGGZ5Q{n:02d}" for n in range(23)]
    products(emu, store=ids, driver=["13984104677400476"])
    emu.add_dataset([{"id": ids[0], "fields": {"primaryName": "Notes"}}])
    answer = api.get("/v1.0/my/applications").json()
    assert list(answer) == ["value", "@nextLink", "totalCount"] and answer["totalCount"] == 23
    assert [row["id"] for row in answer["value"]] == ids[:10] and answer["value"][0]["primaryName"] == "Notes"
    assert list(answer["value"][0]) == ["id", "primaryName", "packageFamilyName", "packageIdentityName",
                                        "publisherName", "firstPublishedDate", "hasAdvancedListingPermission"]
    assert answer["@nextLink"] == "applications?top=10&skip=10"
    last = api.get("/v1.0/my/applications", None, top=100, skip=20).json()
    assert [row["id"] for row in last["value"]] == ids[20:] and "@nextLink" not in last
    assert "startDate is not" in refusal(api.get("/v1.0/my/applications", None, startDate="2026-11-01"))
    assert emu.requests("applications") == 4


def test_hardware_products(emu, api):
    ids = [str(13984104677400476 + n) for n in range(5)]
    products(emu, driver=ids, store=["9NBLGGGZ5QDR"])
    for path in ("/v2.0/my/hardware/products", "/v2.0/my/hardware/products/"):
        answer = api.get(path).json()
        assert list(answer) == ["value", "links"]
        assert [row["id"] for row in answer["value"]] == [int(id) for id in ids]
        assert [link["rel"] for link in answer["links"]] == ["self"]
    assert "top is not a parameter" in refusal(api.get("/v2.0/my/hardware/products", None, top=1))
    emu.fault("paging", "products", form="short", rows=2)
    answer = api.get("/v2.0/my/hardware/products").json()
    link = answer["links"][1]
    assert link["rel"] == "next_link" and link["href"].startswith("https://hardwareapi.example.invalid/api/v1/")
    more = api.get("/api/v1/hardware/products", None, continuationToken=link["href"].split("=")[1]).json()
    assert [row["id"] for row in more["value"]] == [int(id) for id in ids[2:4]]
    emu.fault("casing", "products", envelope="upper")
    upper = api.get("/v2.0/my/hardware/products").json()
    assert set(upper) == {"VALUE", "LINKS"} and upper["LINKS"][1]["REL"] == "next_link"


def test_insights(emu, api):
    ids = ["10238467886765136388", "15787360021947735102"]
    products(emu, desktop=[*ids, "11111111111111111111"], store=["9NBLGGGZ5QDR"])
    emu.add_dataset([{"id": "11111111111111111111", "listed": False}])
    answer = api.get(BASE + "desktop/insights").json()
    assert [row["applicationId"] for row in answer["Value"]] == [id for id in ids for _ in range(2)]
    assert list(answer["Value"][0]) == ["applicationId", "insightDate", "dataType", "insightDetail"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT00:00:00", answer["Value"][0]["insightDate"])
    assert answer["@nextLink"] == "" and answer["TotalCount"] == 4
    assert len(rows_of(api.get(BASE + "desktop/insights", None, applicationId=ids[1]))) == 2
    assert api.get(BASE + "desktop/insights", None, applicationId="9NBLGGGZ5QDR").status == 404
    week = time.strftime("%m/%d/%Y", time.gmtime(time.time() - 7 * DAY))
    assert len(rows_of(api.get(BASE + "desktop/insights", None, startDate=week))) == 2
    assert rows_of(api.get(BASE + "desktop/insights", None, filter="dataType eq 'acquisition'")) == []
    assert "top is not a parameter" in refusal(api.get(BASE + "desktop/insights", None, top=1))


# --- data and faults ----------------------------------------------------------------------------------------------

def test_families_of_applications(emu):
    emu.add_cabs("10238467886765136388", HASH, family="desktop")
    emu.add_cabs("ihvdriver", HASH)
    emu.add_cabs("10238467886765136388", HASH, seed=2)  # it has one already
    assert [cab["family"] for cab in emu.cabs()] == ["desktop", "desktop", "ihvdriver"]
    for application, family in (("10238467886765136388", "store"), ("ihvdriver", "driver"), ("x1", "ihvdriver"),
                                ("x2", "nonsense")):
        with pytest.raises(EmulatorError):
            emu.add_cabs(application, HASH, family=family)
    assert len(emu.cabs()) == 3


def test_endpoint_patterns(emu, api, family):
    add(emu, family, ids=["1234567890123"])
    emu.fault("status", "*cabdownload", status=401)
    assert call(api, family, "cabdownload", **{family.key: "1234567890123"}).status == 401
    assert call(api, family, "failuredetails", failureHash=HASH).status == 200
    emu.clear_faults()
    if family.endpoint:
        emu.fault("status", family.endpoint + "*", status=410)
        assert call(api, family, "failurehits").status == 410
        assert call(api, family, "failuredetails", failureHash=HASH).status == 410
        emu.fault("paging", family.endpoint + "*", form="repeat")  # of those, the lists
        assert len(emu.get("/faults")["faults"]) == 2
    with pytest.raises(EmulatorError):
        emu.fault("status", "nothing-*")
    with pytest.raises(EmulatorError):
        emu.fault("redirect", "*hits")


def lists(emulator):
    """Every list: endpoint, path, key of a row, and what is asked."""
    for family in FAMILIES:
        yield family.endpoint + "hits", BASE + family.prefix + "failurehits", "failureHash", family.asks(
            groupby="failureHash")
        yield family.endpoint + "details", BASE + family.prefix + "failuredetails", family.key, family.asks(
            failureHash=HASH)
    yield "desktop-insights", BASE + "desktop/insights", "applicationId", {}
    yield "applications", "/v1.0/my/applications", "id", {}
    yield "products", "/v2.0/my/hardware/products", "id", {}


FORMS = [("casing", {"envelope": "upper", "rows": "lower"}), ("types", {"bom": True, "unknown": True, "blanks": True}),
         ("types", {"numbers": "string"}), ("identifiers", {}), ("dates", {"form": "offset"}),
         ("paging", {"form": "repeat"}), ("next-link", {"form": "malformed", "last": True})]


# Lists without a date, or without a number and a text of digits.
UNTOUCHED = {("dates", None, "products"), ("types", "string", "applications")}


@pytest.mark.parametrize("fault, arguments", FORMS, ids=str)
def test_forms_of_every_list(emu, api, fault, arguments):
    now = int(time.time())
    for family in FAMILIES:
        add(emu, family, date=now)
    for endpoint, path, key, query in lists(emu):
        plain = api.get(path, None, **query)
        emu.fault(fault, endpoint, count=1, **arguments)
        body = api.get(path, None, **query).body.decode("utf-8-sig")
        same = (fault, arguments.get("numbers"), endpoint) in UNTOUCHED
        assert (json.loads(body) == plain.json()) == same, endpoint
        if fault == "identifiers":
            values = [value for name, value in json.loads(body).items() if name.lower() == "value"][0]
            assert len(values) >= 21 and {"../x", ""} <= {row.get(key) for row in values
                                                         if isinstance(row.get(key), str)}, endpoint


def test_numbers_that_no_integer_holds(emu, api):
    family = BY_NAME["desktop"]
    add(emu, family, date="2026-11-02 12:00:00")
    emu.fault("types", "desktop-hits", numbers="string")
    answer = call(api, family, "failurehits", startDate="11/01/2026", endDate="11/30/2026")
    assert f'"applicationId":{family.application}'.encode() in answer.body
