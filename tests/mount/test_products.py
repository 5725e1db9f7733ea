# SPDX-License-Identifier: MIT
"""`discover`: products that the services enumerate are directories beside the configured ones."""
import os
import subprocess

import pytest

from families import BY_NAME, FAMILIES, PRODUCT_LISTS, add_failure, counts, everything, failure_of, questions, tree, tree_of
from mount import errno_of, wait_until, within, xattrs
from test_families import listed

A = failure_of(0x1fd83f6d)
DRIVERS = [str(13984104677400476 + number) for number in range(5)]
DESKTOPS = ["10238467886765136388", "15787360021947735102"]
STORES = ["9NBLGGGZ5QDR", "9WZDNCRFJ3Q2", "9PB2MZ1ZMB1S"]
BY_LIST = {"products": ("driver", DRIVERS), "desktop-insights": ("desktop", DESKTOPS), "applications": ("store", STORES)}


def add_products(emulator, **families):
    emulator.add_dataset([{"id": id, "family": family} for family, ids in families.items() for id in ids])


def add_all(emulator):
    add_products(emulator, driver=DRIVERS, desktop=DESKTOPS, store=STORES)


def discover(mount, **options):
    return mount(**{"driver": None, "discover": "yes", **options})


def complaints(mounted, words="discover: "):
    return [line for line in mounted.log().splitlines() if words in line and "warning" in line.lower()]


def test_nothing_is_asked_without(emulator, mount):
    """The root costs no request unless `discover` is on."""
    add_all(emulator)
    root = mount(driver=None).path
    assert listed(root) == []
    assert counts(emulator) == {}


def test_products_are_listed(emulator, mount):
    """All three lists, each once and with its own parameters, beside what is configured; families are known by then."""
    add_all(emulator)
    add_products(emulator, driver=["14208311096254871"])
    emulator.add_dataset([{"id": "14208311096254871", "listed": False}])
    for family in FAMILIES:
        add_failure(emulator, family, A, count=3, size=100)
    mounted = discover(mount, driver=["14208311096254871"], account_families=["ihvdriver", "hardware"])
    root = mounted.path
    expected = sorted([*DRIVERS, *DESKTOPS, *STORES, "14208311096254871", "ihvdriver", "hardware"])
    assert listed(root) == expected
    assert counts(emulator) == dict.fromkeys(PRODUCT_LISTS, 1)
    assert questions(emulator, "applications") == [{"top": "100", "skip": "0"}]
    assert questions(emulator, "desktop-insights")[0].keys() == {"startDate", "endDate"}
    assert [entry["path"] for entry in emulator.log("products")] == ["/v2.0/my/hardware/products"]
    assert listed(root) == expected
    assert counts(emulator) == dict.fromkeys(PRODUCT_LISTS, 1), "within the TTL nothing is asked again"
    assert tree(root) == tree_of(emulator)
    asked = counts(emulator)
    assert (asked["hits"], asked["desktop-hits"], asked["store-hits"]) == (6, 2, 3)
    for cab in emulator.cabs()[::3]:
        mounted.verify(cab)
    assert emulator.counters(cabs=False)["refused"] == 0 and not complaints(mounted)


def test_family_of_a_product_by_name(emulator, mount):
    """Who goes straight to a product's directory gets the family that its list says, not the default."""
    add_all(emulator)
    desktop = BY_NAME["desktop"]
    add_failure(emulator, desktop, A, DESKTOPS[1], count=2, size=10)
    mounted = discover(mount, family="driver")
    assert len(listed(mounted.path / DESKTOPS[1] / A)) == 2
    asked = counts(emulator)
    assert asked["desktop-details"] == 1 and not {"hits", "details", "batch"} & asked.keys()


def test_attributes_of_products(emulator, mount):
    """What a list says of a product are attributes of its directory."""
    add_all(emulator)
    emulator.add_dataset([{"id": STORES[0], "fields": {"primaryName": "Acme Notes"}},
                          {"id": DRIVERS[0], "fields": {"productName": "Acme Driver"}}])
    root = discover(mount).path
    listed(root)
    assert xattrs(root / STORES[0])["primaryName"] == "Acme Notes"
    assert xattrs(root / DRIVERS[0])["productName"] == "Acme Driver"
    assert xattrs(root / DESKTOPS[0])["dataType"] == "health"
    assert counts(emulator) == dict.fromkeys(PRODUCT_LISTS, 1)


@pytest.mark.parametrize("count, pages", [(0, 1), (1, 1), (23, 1), (100, 2), (101, 2), (250, 3)])
def test_many_apps(emulator, mount, count, pages):
    """The service's pages of ten are not the end; an account without apps, which is a 404, is one with an empty list."""
    ids = [f"9NBLGGGZ{number:04d}" for number in range(count)]
    add_products(emulator, store=ids)
    mounted = discover(mount)
    assert listed(mounted.path) == ids
    assert counts(emulator)["applications"] == pages
    assert not complaints(mounted)


@pytest.mark.parametrize("form", [None, "relative", "absolute", "unencoded", "foreign"])
@pytest.mark.parametrize("endpoint", PRODUCT_LISTS)
def test_pages_that_are_linked(emulator, mount, endpoint, form):
    """Links are followed on the API host, whatever host they name."""
    add_all(emulator)
    emulator.fault("paging", endpoint, form="short", rows=2)
    if form is not None:
        emulator.fault("next-link", endpoint, form=form)
    mounted = discover(mount)
    assert listed(mounted.path) == sorted([*DRIVERS, *DESKTOPS, *STORES])
    rows = {"products": 5, "desktop-insights": 4, "applications": 3}[endpoint]
    pages = (rows + 1) // 2
    assert pages <= counts(emulator)[endpoint] <= pages + 1
    assert not complaints(mounted)


VARIANTS = [
    ("paging", {"form": "repeat"}), ("paging", {"form": "skip-ignored"}), ("paging", {"form": "overlap", "rows": 1}),
    *(("next-link", {"form": form, "last": True}) for form in ("relative", "absolute", "unencoded", "foreign", "null",
                                                               "empty", "absent")),
    *(("casing", {"envelope": case, "rows": case}) for case in ("lower", "upper", "title")),
    ("types", {"numbers": "string"}), ("types", {"numbers": "fraction"}), ("types", {"unknown": True}),
    ("types", {"bom": True}), ("types", {"blanks": True}), ("types", {"null": "productName"}),
    *(("dates", {"form": form}) for form in ("us", "missing", "nonsense")),
]


@pytest.mark.parametrize("fault, arguments", VARIANTS, ids=str)
def test_variants(emulator, mount, fault, arguments):
    """Whatever form the lists have, each product is there once."""
    add_all(emulator)
    for endpoint in PRODUCT_LISTS:
        if not (arguments.get("numbers") == "fraction" and endpoint == "products"):  # ids there are numbers
            emulator.fault(fault, endpoint, **arguments)
    mounted = discover(mount)
    assert listed(mounted.path) == sorted([*DRIVERS, *DESKTOPS, *STORES])
    assert all(count <= 2 for count in counts(emulator).values())
    assert "skipped" not in xattrs(mounted.path) and not complaints(mounted)


@pytest.mark.parametrize("endpoint", ["products", "desktop-insights"])
def test_link_that_leads_nowhere(emulator, mount, endpoint):
    """A list whose end cannot be had is no list: what is configured stays, and the log says so."""
    add_all(emulator)
    family, ids = BY_LIST[endpoint]
    emulator.fault("paging", endpoint, form="short", rows=2)
    emulator.fault("next-link", endpoint, form="malformed")
    mounted = discover(mount, **{family: ids[:1]})
    others = [id for name, (_, some) in BY_LIST.items() if name != endpoint for id in some]
    assert listed(mounted.path) == sorted([ids[0], *others])
    assert len(complaints(mounted)) == 1 and f'"{family}"' in complaints(mounted)[0]


@pytest.mark.parametrize("status", [401, 403, 404, 409, 410, 500])
@pytest.mark.parametrize("endpoint", PRODUCT_LISTS)
def test_list_that_fails(emulator, mount, endpoint, status):
    """It hides nothing else: not what is configured, nor the other lists; the log says it once."""
    add_all(emulator)
    family, ids = BY_LIST[endpoint]
    emulator.fault("status", endpoint, status=status)
    mounted = discover(mount, retries=1, listing_ttl=0, **{family: ids[:1]})
    others = [id for name, (_, some) in BY_LIST.items() if name != endpoint for id in some]
    for _ in range(3):
        assert listed(mounted.path) == sorted([ids[0], *others])
    none = status == 404 and endpoint == "applications"
    assert len(complaints(mounted)) == (0 if none else 1), mounted.log()
    add_failure(emulator, BY_NAME[family], A, ids[0])
    assert listed(mounted.path / ids[0]) == [A]


def test_all_lists_fail(emulator, mount):
    """The root is what is configured, without an error."""
    add_all(emulator)
    emulator.fault("status", PRODUCT_LISTS, status=503)
    mounted = discover(mount, retries=1, driver=DRIVERS[:1], account_families=["hardware"])
    assert listed(mounted.path) == sorted([DRIVERS[0], "hardware"])
    assert errno_of(os.stat, mounted.path / "hardware") is None
    assert len(complaints(mounted)) == 3


def test_hostile_products(emulator, mount):
    """What is no safe name is none in the root either; what was left out is counted there and in the log."""
    add_all(emulator)
    emulator.fault("identifiers", PRODUCT_LISTS)
    mounted = discover(mount)
    assert listed(mounted.path) == sorted([*DRIVERS, *DESKTOPS, *STORES, "-", "true"])
    assert xattrs(mounted.path)["skipped"] == str(3 * 18)
    assert mounted.log().count(": 18 rows of the list were skipped") == 3
    assert not (mounted.path / ".hidden").exists()


def test_configured_family_wins(emulator, mount):
    """A list does not change what an ID is configured as."""
    add_all(emulator)
    add_failure(emulator, BY_NAME["driver"], A, "20000000000000007", count=2)
    emulator.fault("answer", "desktop-insights", text='{"Value": [{"applicationId": "20000000000000007"}]}')
    mounted = discover(mount, driver=["20000000000000007"])
    assert "20000000000000007" in listed(mounted.path)
    assert len(listed(mounted.path / "20000000000000007" / A)) == 2
    assert "desktop-hits" not in counts(emulator)


def test_new_products_show_after_the_ttl(emulator, mount):
    """Lists of products are lists: the old one is shown until the new one is there."""
    add_all(emulator)
    root = discover(mount, listing_ttl=1).path
    assert len(listed(root)) == 10
    add_products(emulator, store=["9NEWNEWNEWNE"])
    wait_until(lambda: "9NEWNEWNEWNE" in listed(root), "the new product")


def test_products_without_the_network(emulator, mount):
    """What was listed once is listed after a restart, also when nobody answers. [K8]"""
    add_all(emulator)
    mounted = discover(mount, retries=1)
    expected = listed(mounted.path)
    assert len(expected) == 10
    mounted.unmount()
    emulator.fault("drop", "*")
    mounted.mount()
    assert listed(mounted.path) == expected


@pytest.mark.parametrize("endpoints", ["*", ["products", "desktop-insights"]], ids=["all", "two"])
def test_services_down_at_first(emulator, mount, endpoints):
    """That nothing could be listed is no empty directory; and when they are back nobody waits for long. [E9]"""
    mounted = discover(mount, retries=1)
    emulator.fault("status", endpoints, status=500)
    assert errno_of(os.listdir, mounted.path) == "EIO"
    emulator.clear_faults()
    add_products(emulator, driver=DRIVERS, desktop=DESKTOPS)
    within(20, lambda: errno_of(os.listdir, mounted.path) is None, "something is listed")
    assert listed(mounted.path) == sorted(DRIVERS + DESKTOPS)


def test_one_service_is_there(emulator, mount):
    """What it has is shown, though others cannot be asked."""
    add_products(emulator, store=STORES)
    emulator.fault("status", ["products", "desktop-insights"], status=500)
    assert listed(discover(mount, retries=1).path) == sorted(STORES)


def test_account_without_families(emulator, mount):
    """Services that are not the account's have nothing to list; if none is, that is said."""
    mounted = discover(mount, retries=1)
    emulator.fault("status", "*", status=403)
    assert errno_of(os.listdir, mounted.path) == "EACCES"


def test_program_that_may_not_ask(emulator, mount):
    """A program of `deny` is refused where nothing is known yet, and no directory seems empty to it. [F5]"""
    add_all(emulator)
    root = discover(mount, deny="ls").path
    ls = subprocess.run(["ls", root], capture_output=True, text=True, timeout=30)
    assert (ls.returncode, ls.stdout) == (2, "") and "Permission denied" in ls.stderr
    assert counts(emulator) == {}
    expected = listed(root)
    assert subprocess.run(["ls", root], capture_output=True, text=True, timeout=30).stdout.split() == expected


def test_everything_at_once(emulator, mount):
    """Configured and enumerated at the same time: each once."""
    add_all(emulator)
    for family in FAMILIES:
        add_failure(emulator, family, A, count=2)
    mounted = discover(mount, **everything())
    assert listed(mounted.path) == sorted([*DRIVERS, *DESKTOPS, *STORES, "ihvdriver", "hardware"])
    assert tree(mounted.path) == tree_of(emulator)
