# SPDX-License-Identifier: MIT
"""The table: which figure of which scenario is a row, what it is measured against, and how good cabfs is to be."""
from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """`limit` is a contestant of the same scenario, or a number in `unit`, or nothing.  `floor` and `goal` hold for the
    ratio to the limit (`of` "ratio") or for the value itself.  `more`: a larger value is better."""

    name: str
    scenario: str
    figure: str
    unit: str
    limit: object = None
    of: str = "ratio"
    more: bool = False
    floor: float = None
    goal: float = None


ROWS = [
    Row("cold-near", "cold-near", "speed", "MB/s", "curl", more=True, floor=0.50, goal=0.75),
    Row("cold-near-https", "cold-near-https", "speed", "MB/s", "curl", more=True, floor=0.45, goal=0.70),
    Row("cold-far", "cold-far", "speed", "MB/s", "ranges", more=True, floor=0.80, goal=0.92),
    Row("first-byte", "first-byte", "listed", "RTT", 2, of="value", floor=4, goal=2.3),
    Row("first-byte-https", "first-byte-https", "listed", "RTT", 3, of="value", floor=4, goal=3.3),
    Row("first-byte-fresh", "first-byte", "fresh", "RTT"),
    Row("random-far", "random-far", "seconds", "s", "ranges", of="value", floor=2.2, goal=1.5),
    Row("random-far-bytes", "random-far", "megabytes", "MB", "ranges", of="value", floor=64, goal=24),
    Row("random-near", "random-near", "seconds", "s", "ranges", of="value", floor=0.048, goal=0.015),
    Row("readers-bytes", "readers", "bytes", "of its bytes", 1.0, of="value", floor=1.01, goal=1.00),
    Row("readers-time", "readers", "time", "of one", 1.0, of="value", floor=1.3, goal=1.1),
    Row("names-far", "directory-far", "names", "s", of="value", floor=2, goal=1),
    Row("names-far-pages", "directory-far", "pages", "requests", 100, of="value", floor=102, goal=102),
    Row("ls-far", "directory-far", "sizes", "s", "heads", floor=1.5, goal=1.15),
    Row("ls-remount", "directory-far", "again", "s", 0.065, of="value", floor=0.30, goal=0.065),
    Row("ls-remount-requests", "directory-far", "again_requests", "requests", of="value", floor=0, goal=0),
    Row("warm-ls-l", "warm", "ls-l", "s", "native", floor=1.3, goal=1.0),
    Row("warm-find", "warm", "find", "s", "native", floor=1.3, goal=1.0),
    Row("warm-ls", "warm", "ls", "s", "native", floor=1.3, goal=1.0),
    Row("warm-stat", "warm", "stat", "s", "native", floor=1.3, goal=1.0),
    Row("warm-missing", "warm", "missing", "s", "native", floor=1.3, goal=1.0),
    Row("cache-seq", "cached", "speed", "MB/s", "memfs", more=True, floor=0.90, goal=1.1),
    Row("hot", "cached", "hot", "MB/s", "native", more=True, floor=0.80, goal=0.90),
    Row("random-4k", "misses", "rate", "k/s", "memfs", more=True, floor=0.65, goal=0.85),
    Row("cpu-cold", "cold-near", "cpu", "s/GB", "ranges", of="value", floor=2.2, goal=1.3),
    Row("cpu-cache", "cached", "cpu", "s/GB", "memfs", of="value", floor=0.45, goal=0.35),
    Row("memory-idle", "memory", "idle", "MiB", 5, of="value", floor=10, goal=6),
    Row("memory-10k", "memory", "entries", "MiB", 5, of="value", floor=16, goal=8),
    Row("memory-stream", "memory", "streaming", "MiB", "ranges", of="value", floor=60, goal=32),
    Row("growth-ls", "growth-names", "each", "us a CAB", "cabfs-1000", floor=1.1, goal=1.0),
    Row("growth-cpu", "growth-names", "cpu", "us a CAB", "cabfs-10000", floor=1.1, goal=1.0),
    Row("growth-memory", "growth-names", "memory", "MiB"),
    Row("growth-million", "growth-names", "million", "MiB", of="value", floor=250, goal=250),
    Row("growth-readers", "growth-readers", "speed", "MB/s", "cabfs-1", more=True, floor=0.9, goal=1.0),
    Row("growth-readers-far", "growth-readers-far", "speed", "MB/s", "cabfs-1", more=True, floor=0.9, goal=1.0),
]

# Of the rows that the summary has.
TITLES = {
    "cold-near": "a cold CAB of 384 MiB, near", "cold-near-https": "the same by https", "cold-far": "the same, far",
    "first-byte": "its first byte, far", "first-byte-https": "the same by https",
    "random-far": "20 reads at random in 4 GiB, far", "random-far-bytes": "what they move", "random-near": "the same, near",
    "readers-bytes": "8 readers of one cold CAB: bytes", "readers-time": "and time",
    "names-far": "names of 10,000 CABs, far", "names-far-pages": "pages for that",
    "ls-far": "`ls -l` of them, sizes unknown", "ls-remount": "after a remount", "ls-remount-requests": "requests for that",
    "warm-ls-l": "`ls -l` again", "warm-find": "`find` again", "warm-ls": "`ls` again", "warm-stat": "a stat of each",
    "warm-missing": "names that are not there",
    "cache-seq": "384 MiB from the disk cache", "hot": "from the page cache", "random-4k": "4 KiB at random, 8 threads",
    "cpu-cold": "processor, cold", "cpu-cache": "processor, from the cache",
    "memory-idle": "memory, idle", "memory-10k": "with 10,000 entries", "memory-stream": "streaming from afar",
    "growth-million": "with 1,000,000 CABs",
}

# Names that stand for several rows.
GROUPS = {
    "memory": ["memory-idle", "memory-10k", "memory-stream"],
    "cpu": ["cpu-cold", "cpu-cache"],
    "warm": ["warm-ls-l", "warm-find", "warm-ls", "warm-stat", "warm-missing"],
    "directory": ["names-far", "names-far-pages", "ls-far", "ls-remount", "ls-remount-requests"],
    "growth": ["growth-ls", "growth-cpu", "growth-memory", "growth-million", "growth-readers", "growth-readers-far"],
    "readers": ["readers-bytes", "readers-time"],
}
