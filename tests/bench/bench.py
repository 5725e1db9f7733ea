# SPDX-License-Identifier: MIT
"""The benchmark of cabfs; tests/bench/run calls it.  tests/bench/README.md explains the rows."""
import argparse
import json
import os
import platform
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(TOP / "tests/bench"), str(TOP / "tests/mount")]

import charts  # noqa: E402
import report  # noqa: E402
from rows import GROUPS, ROWS, TITLES  # noqa: E402

PEERS = ("httpdirfs", "rclone")
SLOW = 15  # seconds: a peer that takes longer for one measurement is measured once
# In which peers take so long.
SLOW_SCENARIOS = ("cold-far", "first-byte", "first-byte-https", "directory-far", "warm", "memory")


def arguments():
    parser = argparse.ArgumentParser(prog="tests/bench/run", epilog="Without a row: all of them.",
                                     description="How fast cabfs is, beside its peers and limits.")
    parser.add_argument("rows", nargs="*", metavar="ROW", help="a row, or a group of rows (--list)")
    parser.add_argument("--rounds", type=int, default=5, metavar="N", help="of each measurement (5)")
    parser.add_argument("--quick", action="store_true",
                        help="one round, no million of CABs, and peers only where they are quick")
    parser.add_argument("--no-peers", action="store_true", help="cabfs and the limits only")
    parser.add_argument("--further", type=int, default=1, metavar="N",
                        help="the far host N times as far and as slow: ratios without the processor's part in them")
    parser.add_argument("--list", action="store_true", help="the names of the rows")
    parser.add_argument("--json", type=Path, metavar="FILE", help="the table (DIR/report.json)")
    parser.add_argument("--build", type=Path, default=TOP / "build/bench", metavar="DIR", help="a build (build/bench)")
    parser.add_argument("--cabfs", type=Path, metavar="PROGRAM", help="another cabfs than that of the build")
    parser.add_argument("--work", type=Path, metavar="DIR", help="where caches and downloads go (DIR of --build)")
    parser.add_argument("--memory", type=Path, default=Path("/dev/shm"), metavar="DIR",
                        help="where the server's files are, 1 GB in memory (/dev/shm)")
    parser.add_argument("--keep", action="store_true", help="leave caches, logs and the server's files when it fails")
    options = parser.parse_args()
    known = {row.name for row in ROWS} | set(GROUPS)
    for name in options.rows:
        if name not in known:
            parser.error(f"there is no row {name}; --list names them")
    if options.quick:
        options.rounds = 1
    return options


def list_rows():
    for row in ROWS:
        print(f"{row.name:24} {row.unit}")
    for name, rows in GROUPS.items():
        print(f"{name:24} = {' '.join(rows)}")


def wanted_rows(names):
    names = [row for name in names for row in GROUPS.get(name, [name])]
    return [row for row in ROWS if not names or row.name in names]


def version(name):
    shown = subprocess.run([name, "--version"], capture_output=True, text=True)
    lines = (shown.stdout + shown.stderr).splitlines()
    return next((line.strip() for line in lines if line.lower().startswith(name)), f"{name} of unknown version")


def find_peers(options):
    """Those that can take part; says who cannot."""
    peers, remarks = [], []
    for name in () if options.no_peers else PEERS:
        if shutil.which(name) is None:
            remarks.append(f"{name} is not installed, and takes no part")
        else:
            peers.append(name)
            remarks.append(version(name))
    return peers, remarks


def machine():
    cpus = [line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")]
    return (f"{time.strftime('%Y-%m-%d')}, {os.cpu_count()} cores ({cpus[0] if cpus else platform.machine()}), Linux "
            f"{platform.release()}, load {os.getloadavg()[0]:.1f} at the start")


def one_measurement(scenario, name, contestant, number):
    """Its figures and how long it took.  A peer that fails is said to, and out; all others must not."""
    begun = time.monotonic()
    try:
        figures = scenario.measure(contestant, number)
    except RuntimeError as error:
        if contestant not in PEERS:
            raise
        print(f"  {name}: {contestant} failed: {error}", file=sys.stderr)
        return {}, float("inf")
    return figures, time.monotonic() - begun


def run_scenario(scenario, name, options):
    """{contestant: [figures, …]}; each round begins with another contestant."""
    results = {contestant: [] for contestant in scenario.contestants}
    done = set(PEERS) if options.quick and name in SLOW_SCENARIOS else set()
    for number in range(options.rounds):
        first = number % len(results)
        for contestant in scenario.contestants[first:] + scenario.contestants[:first]:
            if contestant in done:
                continue
            figures, took = one_measurement(scenario, name, contestant, number + 1)
            if contestant in PEERS and took > SLOW:
                done.add(contestant)
            results[contestant].append(figures)
            shown = ", ".join(f"{key} {report.number(value)}" for key, value in figures.items())
            print(f"  {name} {number + 1}/{options.rounds} {contestant}: {shown}", file=sys.stderr, flush=True)
    return results


def measure(options, rows, peers, tell):
    """Calls tell(results) after each scenario; {scenario: {contestant: [figures, …]}}."""
    from scenarios import SCENARIOS
    from servers import Servers
    results = {}
    place = Path(tempfile.mkdtemp(prefix="cabfs-bench-", dir=options.memory))
    place.chmod(0o755)  # nginx' worker is another user
    work = Path(tempfile.mkdtemp(prefix="work-", dir=options.work))
    servers, done = None, False
    try:
        servers = Servers(options.build, place / "server", options.further)
        for name in dict.fromkeys(row.scenario for row in rows):
            inside = work / name
            inside.mkdir()
            with SCENARIOS[name](servers, inside, peers, options.quick) as scenario:
                results[name] = run_scenario(scenario, name, options)
            shutil.rmtree(inside)
            tell(results)
        done = True
    finally:
        if servers is not None:
            servers.stop()
        if options.keep and not done:
            print(f"kept: {work} {place}", file=sys.stderr)
        else:
            shutil.rmtree(place, ignore_errors=True)
            shutil.rmtree(work, ignore_errors=True)


class Writer:
    """Writes the report, anew after each scenario."""

    def __init__(self, options, rows, remarks):
        self.options, self.rows, self.remarks = options, rows, remarks
        self.lines = []

    def __call__(self, results):
        remarks = [*self.remarks, f"medians of {self.options.rounds} interleaved rounds; load "
                   f"{os.getloadavg()[0]:.1f} at the end"]
        self.lines = [line for row in self.rows if row.scenario in results
                      for line in report.lines_of(row, results[row.scenario])]
        table = {"remarks": remarks, "rows": self.lines, "figures": results}
        (self.options.json or self.options.build / "report.json").write_text(json.dumps(table, indent=1) + "\n")
        (self.options.build / "report.md").write_text(report.as_markdown(self.lines, remarks))
        (self.options.build / "summary.md").write_text(report.as_summary(self.lines, TITLES, remarks))
        charts.draw_all(results, self.lines, self.options.build)

    def text(self):
        return "\n".join([*self.remarks, "", report.as_text(self.lines)])


def main():
    options = arguments()
    if options.list:
        list_rows()
        return
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    options.build = options.build.resolve()
    options.work = (options.work or options.build).resolve()
    os.environ["CABFS"] = str((options.cabfs or options.build / "fs/cabfs").resolve())
    rows = wanted_rows(options.rows)
    peers, remarks = find_peers(options)
    remarks.insert(0, machine())
    if options.further > 1:
        remarks.append(f"far is {options.further} times as far and as slow here")
    writer = Writer(options, rows, remarks)
    measure(options, rows, peers, writer)
    print(writer.text(), end="")


if __name__ == "__main__":
    main()
