# SPDX-License-Identifier: MIT
"""Medians, ratios, and the table as text, Markdown and JSON."""
import statistics


def median(values):
    return statistics.median(values) if values else None


def met(row, ratio, value, wanted):
    """None where nothing is wanted or known."""
    figure = ratio if row.of == "ratio" else value
    if wanted is None or figure is None:
        return None
    return figure >= wanted if row.more else figure <= wanted


def lines_of(row, results):
    """One line for each contestant; `results` is {contestant: [figures of a round, …]}."""
    limit = row.limit
    if isinstance(limit, str):
        limit = median([figures[row.figure] for figures in results.get(limit, ()) if row.figure in figures])
    for contestant, rounds in results.items():
        values = [figures[row.figure] for figures in rounds if row.figure in figures]
        if not values:
            continue
        value = median(values)
        ratio = value / limit if limit else None
        ours = contestant.split("-")[0] == "cabfs"
        yield {
            "name": row.name, "contestant": contestant, "median": value, "unit": row.unit, "limit": limit,
            "ratio": ratio, "min": min(values), "max": max(values), "rounds": len(values), "of": row.of, "more_is_better": row.more,
            "floor": row.floor if ours else None, "goal": row.goal if ours else None,
            "floor_met": met(row, ratio, value, row.floor) if ours else None,
            "goal_met": met(row, ratio, value, row.goal) if ours else None,
        }


def number(value):
    if value is None:
        return ""
    if value == 0 or abs(value) >= 1000:
        return f"{value:.0f}"
    return f"{value:.3g}" if abs(value) < 100 else f"{value:.0f}"


def mark(line):
    if line["floor"] is None:
        return ""
    if not line["floor_met"]:
        return "BELOW FLOOR"
    return "goal" if line["goal_met"] else "floor"


HEAD = ("row", "contestant", "median", "min - max", "unit", "of limit", "floor", "goal", "met")


def cells(lines):
    last = None
    for line in lines:
        yield ("" if line["name"] == last else line["name"], line["contestant"], number(line["median"]),
               f"{number(line['min'])} - {number(line['max'])}" if line["rounds"] > 1 else "one round", line["unit"],
               number(line["ratio"]), number(line["floor"]), number(line["goal"]), mark(line))
        last = line["name"]


def as_text(lines):
    table = [HEAD, *cells(lines)]
    widths = [max(len(row[i]) for row in table) for i in range(len(HEAD))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in table) + "\n"


def as_markdown(lines, remarks):
    rows = [f"| {' | '.join(row)} |" for row in (HEAD, ("---",) * len(HEAD), *cells(lines))]
    return "\n".join(["# Benchmark of cabfs", "", *(f"* {remark}" for remark in remarks), "", *rows]) + "\n"


SUMMARY = ("work", "limit", "httpdirfs", "rclone", "cabfs", "of the limit", "floor", "goal", "")


def wanted(line, what):
    """A floor or a goal: a value, or a share of the limit."""
    value = line[what]
    if value is None:
        return ""
    return number(value) if line["of"] == "value" else f"{value:g} x"


def summary(lines, titles):
    """A line for each row that has a title, peers side by side."""
    for name, title in titles.items():
        row = {line["contestant"]: line for line in lines if line["name"] == name}
        ours = next((line for contestant, line in row.items() if line["floor"] is not None), None)
        if ours is None:
            continue
        peers = [number(row[peer]["median"]) if peer in row else "" for peer in ("httpdirfs", "rclone")]
        yield (f"{title}, {ours['unit']}" if ours["unit"] else title, number(ours["limit"]), *peers, number(ours["median"]),
               number(ours["ratio"]), wanted(ours, "floor"), wanted(ours, "goal"), mark(ours))


def as_summary(lines, titles, remarks):
    """What the project's README shows."""
    rows = [f"| {' | '.join(row)} |" for row in (SUMMARY, ("---",) * len(SUMMARY), *summary(lines, titles))]
    return "\n".join([f"{'; '.join(remarks)}.", "", *rows]) + "\n"
