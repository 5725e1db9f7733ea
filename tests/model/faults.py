# SPDX-License-Identifier: MIT
"""The faults of the model test: the lines of tests/mount/faultrows.py, each for a part of the tree.

A line of that table tells what a program sees of a fault.  Left out are those by which a host lies so well that no
client can know: they are for who has heard of the blob before.
"""
import dataclasses

from faultrows import GROUPS, LINES, LINES_OF_PAIRS
from world import DESKTOP, DRIVER

BOTH = (DRIVER, DESKTOP)
# Which requests a fault of an operation is for; how much of a path they tell: 0 nothing, 1 the application, 2 the
# failure, 3 the CAB; and for which applications they are made.
OPERATIONS = {
    "token": (["login"], 0, BOTH),
    "failures": (["hits", "desktop-hits"], 1, BOTH),
    "batch": (["batch", "details"], 2, (DRIVER,)),
    "details": (["desktop-details"], 2, (DESKTOP,)),
    "head": (["blob-head"], 3, BOTH),
    "bytes": (["blob-get"], 3, BOTH),
    "locate": (["desktop-cabdownload"], 3, (DESKTOP,)),
    "address": (["batch"], 2, (DRIVER,)),
}

FORGOTTEN_S = 12   # what failed is tried again at the latest
REFUSED_S = 65     # what was refused (E10)


@dataclasses.dataclass(frozen=True)
class Kind:
    """A fault as it can be set: what goes wrong, with which requests, and what may be seen of it."""
    label: str
    operation: str
    faults: tuple
    errors: frozenset
    steady: bool  # only where CABs are never replaced: it takes away by what versions are told apart

    def __str__(self):
        return f"{self.label} of {self.operation}"

    @property
    def endpoints(self):
        return OPERATIONS[self.operation][0]

    @property
    def depth(self):
        return OPERATIONS[self.operation][1]

    @property
    def applications(self):
        return OPERATIONS[self.operation][2]

    @property
    def memory(self):
        return REFUSED_S if "EACCES" in self.errors else FORGOTTEN_S


def operations_of(outcomes):
    """{operation: the errnos of its rows}, "bytes" for first and later, where both are known."""
    found = {}
    for name, (error, _) in outcomes.items():
        for operation in GROUPS.get(name, (name,)):
            found.setdefault(operation, set()).add(error)
    if {"first", "later"} <= found.keys():
        found["bytes"] = found["first"] | found["later"]
    return {name: errors for name, errors in found.items() if name in OPERATIONS}


def kinds_of(label, faults, outcomes):
    for operation, errors in operations_of(outcomes).items():
        errors = {"EACCES" if error == "0" else error for error in errors - {None}}
        if operation == "token" and errors:
            errors.add("ETIMEDOUT")  # behind those who wait for a token, few at a time, others wait for their turn
        names = {name for name, _ in faults}
        if "md5" in names:
            errors.add("EIO")  # once all of it is here
        yield Kind(label, operation, faults, frozenset(errors), bool(names & {"etag", "md5"}))


KINDS = [kind for label, fault, outcomes in LINES for kind in kinds_of(label, (fault,), outcomes)]
KINDS += [kind for label, faults, outcomes in LINES_OF_PAIRS for kind in kinds_of(label, faults, outcomes)]
