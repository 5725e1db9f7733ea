# SPDX-License-Identifier: MIT
"""SVG charts by gnuplot, of what has been measured: how cost grows, and shares of the limit."""
import shutil
import statistics
import subprocess

HEAD = "set terminal svg size 720,440 font 'sans,13' background '#ffffff'\nset grid\n"

NAMES = HEAD + """
set output '{output}'
set title 'ls of so many CABs by a new mount'
set logscale xy
set xlabel 'CABs'
set ylabel 'seconds'
set y2label 'MiB'
set y2tics
set logscale y2
set key left top
plot $data using 1:2 with linespoints lw 2 title 'seconds', \\
     $data using 1:3 axes x1y2 with linespoints lw 2 title 'memory of cabfs'
"""

READERS = HEAD + """
set output '{output}'
set title 'cold files, one for each reader'
set logscale x 2
set xlabel 'readers'
set ylabel 'MB/s, all together'
set yrange [0:]
set key left top
plot $data using 1:2 with linespoints lw 2 title 'near', $data using 1:3 with linespoints lw 2 title 'far'
"""

SHARES = HEAD + """
set output '{output}'
set title 'share of the limit'
set style data histogram
set style histogram clustered gap 1
set style fill solid 0.8
set yrange [0:]
set key outside top horizontal
set xtics rotate by -20
plot {bars}
"""


def middle(results, scenario, contestant, figure):
    values = [figures[figure] for figures in results.get(scenario, {}).get(contestant, ()) if figure in figures]
    return statistics.median(values) if values else None


def cell(value):
    return "NaN" if value is None else f"{value:.6g}"


def draw(script, rows):
    data = "\n".join(" ".join(row) for row in rows)
    subprocess.run(["gnuplot"], input=f"$data << EOD\n{data}\nEOD\n{script}", text=True, check=True)


def names(results, output):
    rows = [(contestant[6:], cell(middle(results, "growth-names", contestant, "seconds")),
             cell(middle(results, "growth-names", contestant, "memory"))) for contestant in results["growth-names"]]
    draw(NAMES.format(output=output), rows)


def readers(results, output):
    some = results.get("growth-readers") or results["growth-readers-far"]
    rows = [(contestant[6:], cell(middle(results, "growth-readers", contestant, "speed")),
             cell(middle(results, "growth-readers-far", contestant, "speed"))) for contestant in some]
    draw(READERS.format(output=output), rows)


def shares(lines, output):
    """Of the rows where more is better and the limit was measured in the same run."""
    lines = [line for line in lines if line["more_is_better"] and line["ratio"] and "-" not in line["contestant"]]
    there = {line["contestant"] for line in lines}
    contestants = [name for name in ("cabfs", "httpdirfs", "rclone") if name in there]
    ratios = {(line["name"], line["contestant"]): line["ratio"] for line in lines}
    rows = [(name, *(cell(ratios.get((name, contestant))) for contestant in contestants))
            for name in dict.fromkeys(line["name"] for line in lines)]
    if rows and contestants:
        bars = ", ".join(f"$data using {i + 2}:xtic(1) title '{name}'" for i, name in enumerate(contestants))
        draw(SHARES.format(output=output, bars=bars), rows)


def draw_all(results, lines, directory):
    """Nothing where gnuplot is not installed."""
    if shutil.which("gnuplot") is None:
        return
    if "growth-names" in results:
        names(results, directory / "growth-names.svg")
    if "growth-readers" in results or "growth-readers-far" in results:
        readers(results, directory / "growth-readers.svg")
    shares(lines, directory / "shares.svg")
