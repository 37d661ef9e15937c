"""One engine on one case, in a process of its own: `peer.py ENGINE CASE COUNT`.

CASE is a folder of `cargo bench --bench render -- --dump`. Prints a JSON object with CPU time
(user and system, child processes included) of each document, warm.
"""

import json
import os
import pathlib
import resource
import sys

HERE = pathlib.Path(__file__).resolve().parent


def weasyprint(case):
    import logging

    from weasyprint import CSS, HTML
    from weasyprint.text.fonts import FontConfiguration

    logging.getLogger("weasyprint").setLevel(logging.ERROR)
    fonts = FontConfiguration()
    sheets = [CSS(case / "fonts.css"), CSS(case / "style.css", font_config=fonts)]

    def make(number):
        html = (case / f"{number:03}.html").read_text()
        # Parsed once, above.
        for sheet in ("fonts.css", "style.css"):
            html = html.replace(f'<link rel="stylesheet" href="{sheet}">', "")
        page = HTML(string=html, base_url=str(case))
        return page.write_pdf(stylesheets=sheets, font_config=fonts)

    return make, lambda: None


def typst(case):
    import typst as engine

    root = case.parent
    (root / "invoice.typ").write_bytes((HERE / "invoice.typ").read_bytes())
    compiler = engine.Compiler(
        root=str(root), font_paths=[str(root / "fonts")], ignore_system_fonts=True
    )

    def make(number):
        data = {"data": f"{case.name}/{number:03}.json"}
        return compiler.compile(str(root / "invoice.typ"), format="pdf", sys_inputs=data)

    return make, lambda: None


def reportlab(case):
    from invoice_reportlab import draw, load

    load(case.parent / "fonts")
    return lambda number: draw(json.loads((case / f"{number:03}.json").read_text())), lambda: None


def chromium(case):
    sys.path.insert(0, str(HERE.parents[1] / "tests" / "interop" / "pages"))
    from chromium import Chromium

    browser = Chromium()
    make = lambda number: browser.print((case / f"{number:03}.html").as_uri())  # noqa: E731
    make.group = browser.process.pid
    return make, browser.close


def own():
    both = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(use.ru_utime + use.ru_stime for use in both)


def of_group(group):
    """CPU seconds of all processes of a group that still live."""
    ticks = 0
    for entry in pathlib.Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if int(fields[2]) == group:
                ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def main():
    engine, case, count = sys.argv[1], pathlib.Path(sys.argv[2]).resolve(), int(sys.argv[3])
    make, close = {
        "weasyprint": weasyprint, "typst": typst, "reportlab": reportlab, "chromium": chromium,
    }[engine](case)
    group = getattr(make, "group", None)
    cpu = (lambda: own() + of_group(group)) if group else own
    # Warm with documents that are not measured: Typst remembers what it has made.
    last = len(list(case.glob("*.json"))) - 1
    count = min(count, last - 1)
    for number in (last, last - 1):
        make(number)
    size, before = 0, cpu()
    for number in range(count):
        made = make(number)
        size += len(made)
    spent = cpu() - before
    close()
    (case / f"{engine}.pdf").write_bytes(made)
    print(json.dumps({"milliseconds": 1000 * spent / count, "bytes": size // count}))


main()
