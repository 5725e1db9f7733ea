# SPDX-License-Identifier: MIT
"""What goes wrong with each operation, and what a program sees of it: the table of test_faults.py.

A line is a fault of the emulator with its arguments, and for each operation, or group of them, that it can hit: the
errno (None: nobody notices) and the number of requests of that kind, with retries=2.  A pair of numbers is the least and
the most.
"""
import dataclasses

GROUPS = {
    "lists": ("failures", "batch", "details"),
    "calls": ("failures", "batch", "details", "locate"),
    "bytes": ("first", "later"),
    "addresses": ("address", "locate"),
}

MANY = (2, 8)  # libcurl repeats by itself what an old connection lost before a byte came


@dataclasses.dataclass(frozen=True, eq=False)
class Row:
    operation: str
    label: str
    faults: tuple  # of (name, arguments)
    error: str
    requests: object

    def __str__(self):
        return f"{self.operation}-{self.label}"

    @property
    def is_silent(self):
        return self.error == "ETIMEDOUT"


def status(number, **arguments):
    """A status, asked again without a pause where it is asked again at all."""
    return "status", {"status": number, "retryAfter": 0, **arguments}


EIO, DENIED, GONE, STALE = ("EIO", 1), ("EACCES", 1), ("ENOENT", 1), ("ESTALE", 1)
FINE, SAVED, TRIED, SILENT = (None, 1), (None, 2), ("EIO", 2), ("ETIMEDOUT", 1)

LINES = [
    # --- statuses -----------------------------------------------------------------------------------------------
    ("400", status(400), {"token": DENIED, "calls": EIO, "head": FINE, "bytes": EIO}),
    ("401", status(401), {"token": DENIED, "calls": ("EACCES", (1, 2)), "head": ("0", 1), "bytes": DENIED}),
    ("403", status(403, code="AuthorizationPermissionMismatch"),
     {"token": DENIED, "calls": DENIED, "head": FINE, "bytes": DENIED}),
    ("403-run-out", status(403, code="AuthenticationFailed"), {"head": ("0", 2), "bytes": ("EACCES", 2)}),
    ("404", status(404), {"token": EIO, "calls": GONE, "head": GONE, "bytes": GONE}),
    ("405", status(405), {"bytes": EIO}),
    ("409", status(409), {"token": EIO, "calls": EIO, "head": EIO, "bytes": EIO}),
    ("412", status(412), {"calls": EIO, "head": ("ESTALE", 2), "first": ("ESTALE", 2), "later": STALE}),
    ("416", status(416), {"calls": EIO, "head": EIO, "later": STALE}),
    ("429", status(429), {"token": TRIED, "calls": TRIED, "head": TRIED, "bytes": TRIED}),
    ("500", status(500), {"token": TRIED, "calls": TRIED, "head": TRIED, "bytes": TRIED}),
    ("502-html", status(502, body="html"), {"token": TRIED, "calls": TRIED, "head": TRIED, "bytes": TRIED}),
    ("503-empty", status(503, body="empty"), {"token": TRIED, "calls": TRIED, "head": TRIED, "bytes": TRIED}),
    ("503-burst", status(503, count=1), {"token": SAVED, "calls": SAVED, "head": SAVED, "bytes": SAVED}),
    ("504", status(504), {"token": TRIED, "calls": TRIED, "head": TRIED, "bytes": TRIED}),
    # --- time and connections -----------------------------------------------------------------------------------
    ("latency", ("latency", {"ms": 20, "maxMs": 60}),
     {"token": FINE, "calls": FINE, "head": FINE, "bytes": FINE}),
    ("hold", ("hold", {}), {"token": SILENT, "calls": SILENT, "head": SILENT, "bytes": SILENT}),
    ("close", ("drop", {}), {"token": ("EIO", MANY), "calls": ("EIO", MANY), "head": ("EIO", MANY),
                             "bytes": ("EIO", MANY)}),
    ("drop", ("drop", {"how": "reset"}), {"token": ("EIO", MANY), "calls": ("EIO", MANY), "head": ("EIO", MANY),
                                          "bytes": ("EIO", MANY)}),
    ("stall", ("stall", {"after": 30}), {"token": SILENT, "lists": SILENT, "bytes": SILENT}),
    ("drip", ("drip", {"bytes": 30_000, "ms": 5}), {"token": FINE, "lists": FINE, "bytes": FINE}),
    ("reset", ("reset", {"after": 30}), {"token": TRIED, "lists": TRIED}),
    ("reset", ("reset", {"after": 40_000}), {"first": (None, 3), "later": (None, (2, 9))}),
    ("short", ("short", {"after": 30}), {"token": TRIED, "lists": TRIED}),
    ("short", ("short", {"after": 40_000}), {"first": (None, 3), "later": (None, (2, 9))}),
    ("short-at-once", ("short", {"after": 0}), {"token": TRIED, "lists": TRIED, "bytes": TRIED}),
    ("bandwidth", ("bandwidth", {"rate": 1_000_000}), {"token": FINE, "calls": FINE, "bytes": FINE}),
    # --- answers that are none ----------------------------------------------------------------------------------
    ("html", ("answer", {"text": "<html>sign in</html>", "type": "text/html"}),
     {"token": EIO, "calls": EIO, "later": STALE}),
    ("nothing", ("answer", {"text": ""}), {"token": EIO, "calls": EIO}),
    ("no-rows", ("answer", {"text": '{"Value": null}'}), {"token": EIO, "lists": EIO}),
    ("gzip", ("header", {"name": "Content-Encoding", "value": "gzip"}),
     {"token": EIO, "lists": EIO, "head": FINE, "bytes": FINE}),
    # --- tokens -------------------------------------------------------------------------------------------------
    ("no-token", ("token", {"remove": "access_token"}), {"token": EIO}),
    ("token-type", ("token", {"tokenType": "mac"}), {"token": EIO}),
    ("no-lifetime", ("token", {"remove": "expires_in"}), {"token": FINE}),
    ("lifetime-0", ("token", {"expiresIn": 0}), {"token": FINE}),
    # --- lists --------------------------------------------------------------------------------------------------
    ("upper", ("casing", {"envelope": "upper", "rows": "upper"}), {"lists": FINE}),
    ("lower", ("casing", {"envelope": "lower", "rows": "title"}), {"lists": FINE}),
    *((f"link-{form}", ("next-link", {"form": form, "last": True}), {"lists": (None, (1, 2))})
      for form in ("absent", "null", "empty", "relative", "absolute", "unencoded", "malformed", "foreign")),
    ("strings", ("types", {"numbers": "string", "unknown": True, "bom": True}), {"lists": FINE}),
    ("fractions", ("types", {"numbers": "fraction", "blanks": True}), {"lists": FINE}),
    ("other-application", ("foreign-rows", {"field": "applicationId"}), {"lists": FINE}),
    ("dates-nonsense", ("dates", {"form": "nonsense"}), {"lists": FINE}),
    ("dates-us", ("dates", {"form": "us"}), {"lists": FINE}),
    ("skip-ignored", ("paging", {"form": "skip-ignored"}), {"lists": (None, (1, 2))}),
    ("overlap", ("paging", {"form": "overlap", "rows": 1}), {"lists": (None, (1, 2))}),
    ("short-pages", ("paging", {"form": "short", "rows": 1}), {"lists": (None, (3, 6))}),
    ("repeat", ("paging", {"form": "repeat"}), {"lists": (None, (1, 2))}),
    # --- addresses ----------------------------------------------------------------------------------------------
    ("signature", ("sas", {"signature": "wrong"}), {"addresses": ("EACCES", 2)}),
    ("run-out", ("sas", {"life": -60_000}), {"addresses": ("EACCES", (2, 3))}),
    ("not-yet", ("sas", {"start": 3_600_000}), {"addresses": ("EACCES", 2)}),
    ("no-permission", ("sas", {"permissions": "w"}), {"addresses": ("EACCES", 1)}),
    ("foreign-host", ("sas", {"host": "blob.example.com"}), {"addresses": DENIED}),
    ("file-url", ("sas", {"scheme": "file"}), {"addresses": DENIED}),
    ("user-info", ("sas", {"userinfo": "user:word@"}), {"addresses": DENIED}),
    ("fragment", ("sas", {"fragment": "#part"}), {"addresses": DENIED}),
    ("no-signature", ("sas", {"remove": "sig"}), {"addresses": GONE}),  # the host's word for it
    ("no-end", ("sas", {"remove": "se"}), {"addresses": ("EACCES", 2)}),
    *((f"redirect-{number}", ("redirect", {"status": number}), {"locate": FINE}) for number in (301, 303, 307, 308)),
    ("redirect-relative", ("redirect", {"form": "relative"}), {"locate": DENIED}),
    ("redirect-missing", ("redirect", {"form": "missing"}), {"locate": EIO}),
    ("redirect-http", ("redirect", {"form": "http"}), {"locate": DENIED}),
    ("redirect-foreign", ("redirect", {"form": "foreign"}), {"locate": DENIED}),
    ("redirect-loop", ("redirect", {"form": "loop"}), {"locate": DENIED}),
    ("redirect-file", ("redirect", {"location": "file:///etc/passwd"}), {"locate": DENIED}),
    ("redirect-body", ("redirect", {"form": "body"}), {"locate": EIO}),
    # --- bytes --------------------------------------------------------------------------------------------------
    ("whole", ("range-ignored", {}), {"first": FINE, "later": TRIED}),
    ("pieces", ("short-range", {"bytes": 40_000}), {"first": (None, 3), "later": (None, (2, 9))}),
    ("shifted", ("content-range", {"shift": 1}), {"bytes": TRIED}),
    ("no-range", ("content-range", {"value": None}), {"bytes": TRIED}),
    ("nonsense-range", ("content-range", {"value": "bytes 7-3/x"}), {"bytes": TRIED}),
    ("smaller-total", ("content-range", {"total": 1000}), {"later": TRIED}),
    ("larger-total", ("content-range", {"total": 4_000_000}), {"later": STALE}),
    ("etag", ("etag", {"value": '"0xANOTHER"', "enforce": False}), {"head": FINE, "first": FINE, "later": STALE}),
    ("etag-each", ("etag", {"enforce": False}), {"later": STALE}),
    ("etag-enforced", ("etag", {"value": '"0xANOTHER"'}), {"later": STALE}),
    ("no-etag", ("etag", {"value": None}), {"head": FINE, "first": FINE}),
    ("smaller", ("size", {"delta": -1000}), {"later": STALE}),
    ("larger", ("size", {"delta": 1000}), {"later": STALE}),
    ("no-md5", ("md5", {"value": "none"}), {"head": FINE, "bytes": FINE}),
    ("wrong-md5", ("md5", {"value": "wrong"}), {"head": FINE, "bytes": FINE}),
]
# Several faults at a time
LINES_OF_PAIRS = [
    ("403-no-code", (status(403), ("no-error-code", {})), {"head": FINE, "bytes": ("EACCES", 2)}),
    ("404-no-code", (status(404), ("no-error-code", {})), {"head": GONE, "bytes": GONE}),
]


def rows_of(label, faults, outcomes):
    for name, (error, requests) in outcomes.items():
        for operation in GROUPS.get(name, (name,)):
            yield Row(operation, label, faults, error, requests)


ROWS = [row for label, fault, outcomes in LINES for row in rows_of(label, (fault,), outcomes)]
ROWS += [row for label, faults, outcomes in LINES_OF_PAIRS for row in rows_of(label, faults, outcomes)]


# --- what stands in the table -----------------------------------------------------------------------------------

# Which operations an endpoint serves: of the same calls of several families one stands for all, as they share the code
# and test_families.py has all of them.
ROLES = [("login", ("token",)), ("batch", ("batch",)), ("*hits", ("failures",)), ("*details", ("details",)),
         ("*cabdownload", ("locate",)), ("blob-head", ("head",)), ("blob-get", ("first", "later"))]

# Faults, endpoints and operations that are not in the table, and why.
ELSEWHERE = [
    ("*", "other", "*", "nothing asks for it"),
    ("*", "*-stacktrace", "*", "test_stacktrace.py"),
    ("*", "metadata", "*", "test_tokens.py"),
    ("*", "products", "*", "test_products.py"),
    ("*", "applications", "*", "test_products.py"),
    ("*", "desktop-insights", "*", "test_products.py"),
    ("identifiers", "*", "*", "test_listing.py"),  # that has the safe ones among them too
    ("stall", "blob-head", "*", "an answer to HEAD has no body"),
    ("drip", "blob-head", "*", "an answer to HEAD has no body"),
    ("reset", "blob-head", "*", "an answer to HEAD has no body"),
    ("short", "blob-head", "*", "an answer to HEAD has no body"),
    ("bandwidth", "blob-head", "*", "an answer to HEAD has no body"),
    ("stall", "*cabdownload", "*", "a redirect has no body"),
    ("drip", "*cabdownload", "*", "a redirect has no body"),
    ("reset", "*cabdownload", "*", "a redirect has no body"),
    ("short", "*cabdownload", "*", "a redirect has no body"),
    ("header", "*cabdownload", "*", "a redirect has no body"),
    ("answer", "blob-head", "*", "who has not heard of a blob before takes the host's word for what it is"),
    ("answer", "blob-get", "first", "who has not heard of a blob before takes the host's word for what it is"),
    ("size", "blob-head", "*", "test_errors.py"),  # a size that changes after it was told
    ("size", "blob-get", "first", "who has not heard of a blob before takes the host's word for what it is"),
    ("corrupt", "blob-get", "*", "test_errors.py"),
]
