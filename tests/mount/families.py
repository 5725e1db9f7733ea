# SPDX-License-Identifier: MIT
"""What differs between the services, as one table for tests: a row of it drives the same test for each."""
import dataclasses
import os
import time
import urllib.parse

DAY = 86400
DETAILS_TOP = HITS_TOP = 10000
BATCH_TOP = 100
SYSTEM = {"failureName": "AV_c0000005_acme!Run", "symbol": "acme!Run+0x1", "osVersion": "Windows 11",
          "eventType": "crash", "market": "DE", "deviceType": "PC"}
DRIVER = {"driverName": "acme.sys", "driverVersion": "1.2.3.4", "architecture": "x64", "oemName": "Acme",
          "oemModel": "A1", "flightRing": "Retail", "osName": "Windows 11"}


@dataclasses.dataclass(frozen=True)
class Family:
    name: str
    application: str  # of the directory
    fields: dict  # of a failure
    product: dict  # of the application
    hit: dict  # attributes of a failure besides name, type and count
    row: tuple  # names of fields that are attributes of a CAB
    option: str = None  # the key that lists it
    named: bool = True  # the application is a parameter
    key: str = "cabIdHash"
    days: int = 30  # that a CAB is kept

    @property
    def prefix(self):
        return "" if self.name == "driver" else self.name + "-"

    @property
    def endpoints(self):
        """All of it, for faults."""
        return ["hits", "details", "batch", "cabdownload"] if self.name == "driver" else self.prefix + "*"

    @property
    def lists(self):
        """The list of failures, and the one of CABs that is asked first."""
        return self.prefix + "hits", "batch" if self.name == "driver" else self.prefix + "details"

    @property
    def options(self):
        return {self.option or self.name: [self.application]}

    def asks(self, **query):
        return {**({"applicationId": self.application} if self.named else {}), **query}


FAMILIES = [
    Family("driver", "13984104677400476", DRIVER, {"submissionId": "1_2_3"}, {"applicationId": "13984104677400476"},
           ("submissionId",)),
    Family("desktop", "10238467886765136388",
           {"fileName": "acme.exe", "applicationVersion": "1.2.3.4", "osBuild": "10.0.22631", "osRelease": "23H2"},
           {"productName": "Acme Paint"}, {"applicationId": "10238467886765136388", "applicationName": "Acme Paint"},
           ("failureName", "osVersion", "market", "deviceType", "fileName", "applicationVersion", "osBuild",
            "osRelease")),
    Family("store", "9NBLGGGZ5QDR", {"packageVersion": "1.2.3.4", "osBuild": "10.0.27788", "osRelease": "24H2"},
           {"applicationName": "Acme Notes"}, {"applicationId": "9NBLGGGZ5QDR", "applicationName": "Acme Notes"},
           ("failureName", "osVersion", "market", "deviceType", "packageVersion", "osBuild", "osRelease"),
           key="cabId", days=35),
    Family("ihvdriver", "ihvdriver", DRIVER, {}, {}, (*SYSTEM, *DRIVER, "sellerId"), "account_families", named=False,
           days=90),
    Family("hardware", "hardware",
           {"moduleName": "acme", "moduleVersion": "1.0", "mode": "kernel", "model": "A1", "baseboard": "B1",
            "modelFamily": "A", "architecture": "x64", "flightRing": "Retail", "osName": "Windows 10"},
           {}, {}, (*SYSTEM, "moduleName", "moduleVersion", "mode", "model", "baseboard", "modelFamily",
                    "architecture", "flightRing", "osName", "sellerId"), "account_families", named=False, days=90),
]
BY_NAME = {family.name: family for family in FAMILIES}
BY_DETAILS = [family for family in FAMILIES if family.name != "driver"]
PRODUCT_LISTS = ["products", "desktop-insights", "applications"]


def name_of(value):
    return value.name if isinstance(value, Family) else str(value)


def failure_of(number):
    return f"{number:08x}-9fe0-96ec-2c47-ef08b65ccbed"


def add_failure(emulator, family, failure, application=None, **rule):
    """A failure with CABs by @rule; their ids."""
    return emulator.add_dataset([{"id": application or family.application, "family": family.name,
                                  "fields": family.product, "failures": [
                                      {"hash": failure, "fields": {**SYSTEM, **family.fields}, "cabs": [rule]}]}])


def everything(*families):
    """Options that list the applications of @families, by default of all."""
    options = {}
    for family in families or FAMILIES:
        options.setdefault(family.option or family.name, []).append(family.application)
    return {"driver": None, **options}


def questions(emulator, endpoint):
    """The parameters of each request, in order."""
    return [dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(entry["path"]).query, strict_parsing=True))
            for entry in emulator.log(endpoint)]


def counts(emulator):
    """How often each endpoint was asked, of those that were; tokens left out."""
    endpoints = emulator.counters(cabs=False)["endpoints"]
    return {name: endpoint["requests"] for name, endpoint in endpoints.items()
            if endpoint["requests"] and name != "login"}


def tree(root):
    """The paths of all CABs below @root, as readdir tells them, and nothing but directories above them."""
    found = []
    for application in os.listdir(root):
        for failure in os.listdir(os.path.join(root, application)):
            found += [f"{application}/{failure}/{name}" for name in os.listdir(os.path.join(root, application, failure))]
    return sorted(found)


def tree_of(emulator):
    """What tree() must be."""
    return sorted(f"{cab['application']}/{cab['failure']}/{cab['id']}.cab" for cab in emulator.cabs())


def iso(seconds):
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))
