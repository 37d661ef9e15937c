#!/usr/bin/env python3
"""Kakitome beside other engines, on the same invoices in the same run.

    benches/peers/run.py                    198 invoices of a page, 10 of 300 lines
    benches/peers/run.py --documents 20 --long 2
    benches/peers/run.py --only typst

WeasyPrint and Chromium get the HTML and CSS that our template writes; Typst and
ReportLab an invoice of the same look (invoice.typ, invoice_reportlab.py) and the
same data. All have the same fonts. Each engine runs warm in one process; what
counts is CPU time, user and system, of it and of its children, for documents that
it has not made before. We are measured before and after the others; the better
of the two counts.

Everything is installed into target/peers. The table goes to standard output,
the figures as JSON to target/peers/figures.json.
"""

import argparse
import json
import os
import pathlib
import subprocess
import sys
import venv

HERE = pathlib.Path(__file__).resolve().parent
TOP = HERE.parents[1]
ENGINES = ("typst", "reportlab", "weasyprint", "chromium")
CASES = ("one-page", "300-lines")

FONTS_CONF = """<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "fonts.dtd">
<fontconfig><dir>{fonts}</dir><cachedir>{cache}</cachedir></fontconfig>
"""


def ours(*arguments):
    command = ["cargo", "bench", "--quiet", "--bench", "render", "--", *arguments]
    done = subprocess.run(command, cwd=TOP, stdout=subprocess.PIPE, check=True, text=True)
    found = {}
    for line in done.stdout.splitlines():
        if line.startswith("{"):
            figure = json.loads(line)
            found[figure["what"]] = figure["figures"]
    return found


def python(place):
    wanted = (HERE / "requirements.txt").read_text()
    installed = place / "installed.txt"
    program = place / "venv" / "bin" / "python"
    if not installed.exists() or installed.read_text() != wanted:
        venv.create(place / "venv", clear=True, with_pip=True)
        subprocess.run(
            [program, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r",
             HERE / "requirements.txt"],
            check=True,
        )
        installed.write_text(wanted)
    return program


def pages(file):
    done = subprocess.run(
        ["pdfinfo", file], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True, text=True
    )
    return int(next(line for line in done.stdout.splitlines() if line.startswith("Pages")).split()[1])


def peer(program, engine, case, count, place):
    surroundings = {**os.environ, "FONTCONFIG_FILE": str(place / "fonts.conf")}
    done = subprocess.run(
        [program, HERE / "peer.py", engine, case, str(count)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=surroundings, check=False,
    )
    if done.returncode != 0:
        print(f"{engine} failed: {done.stderr.strip().splitlines()[-1:]}", file=sys.stderr)
        return None
    figures = json.loads(done.stdout.splitlines()[-1])
    figures["pages"] = pages(case / f"{engine}.pdf")
    return figures


def main():
    parser = argparse.ArgumentParser(description="Kakitome beside other engines.")
    parser.add_argument("--documents", type=int, default=198, help="invoices of a page")
    parser.add_argument("--long", type=int, default=10, help="invoices of 300 lines")
    parser.add_argument("--only", choices=ENGINES, action="append", help="this engine only")
    asked = parser.parse_args()
    # Two are for warming up.
    counts = {"one-page": min(asked.documents, 198), "300-lines": min(asked.long, 18)}

    place = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", TOP / "target")).resolve() / "peers"
    place.mkdir(parents=True, exist_ok=True)
    program = python(place)
    dump = place / "documents"
    ours("--dump", str(dump))
    (place / "fonts.conf").write_text(
        FONTS_CONF.format(fonts=dump / "fonts", cache=place / "font-cache")
    )
    rounds = [ours("--quick", "--json")]
    found = {case: {} for case in CASES}
    for engine in asked.only or ENGINES:
        for case in CASES:
            figures = peer(program, engine, dump / case, counts[case], place)
            if figures:
                found[case][engine] = figures
    rounds.append(ours("--quick", "--json"))
    for case in CASES:
        best = min((one[f"{case} plain"] for one in rounds), key=lambda one: one["microseconds"])
        found[case]["kakitome"] = {**best, "milliseconds": best["microseconds"] / 1000}

    for case in CASES:
        base = found[case]["kakitome"]["milliseconds"]
        print(f"\n{case}, {counts[case]} differing documents\n")
        print("| engine | CPU ms a document | a second | times ours | pages | bytes |")
        print("|---|---|---|---|---|---|")
        for engine, one in sorted(found[case].items(), key=lambda item: item[1]["milliseconds"]):
            one["times"] = one["milliseconds"] / base
            print(
                f"| {engine} | {one['milliseconds']:.2f} | {1000 / one['milliseconds']:.0f} | "
                f"{one['times']:.1f} | {one['pages']} | {one['bytes']:,} |"
            )
    (place / "figures.json").write_text(json.dumps(found, indent=1) + "\n")
    return 0 if all(set(found[case]) > set(asked.only or ENGINES) for case in CASES) else 1


sys.exit(main())
