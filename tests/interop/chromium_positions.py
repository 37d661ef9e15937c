#!/usr/bin/env python3
"""Where the letters stand, compared with headless Chromium.

The HTML of every bundled template and sample (`kakitome render --html`) is
printed by Chromium; PDFium says where the origin of every character is in that
PDF and in ours. Every character of Chromium's must have the same one of ours
within a point. Of a longer document that is the first page, less the row that carries
its sum over: where it breaks, and what the next page begins with, is ours to say.

Chromium rounds to whole pixels of 0.75 pt: the sheet and its margins, every
border (0.4 pt become 0.75), the ascent of every line. So it prints eight times
as large, on a sheet without margins where the root element has the place and
the size of the page area exactly; that leaves a tenth of a point. The body is
made one piece, because Chromium forgets the baselines of a table's row where a
page could break. What stands
in the margins is not compared, and neither are the elements `kakitome-…`.

    chromium_positions.py [NAME…] [--all]     --all shows every line that is off
"""

import ctypes
import math
import pathlib
import sys
import tempfile

import pypdfium2
import pypdfium2.raw as pdfium

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent / "pages"))
import place  # noqa: E402
from chromium import Chromium  # noqa: E402

TOLERANCE = 1.0
# How many times as large Chromium prints.
ZOOM = 8
# Lines shown of each document.
SHOWN = 12


# Takes the page's own margins away and gives their place to the root element.
# Answers the page area: its top, right, bottom and left in points.
ROOT = """(() => {
  const name = getComputedStyle(document.body).page;
  const px = (length) => {
    const probe = document.createElement("div");
    probe.style.cssText = `position: absolute; width: ${length}`;
    document.body.append(probe);
    const width = probe.getBoundingClientRect().width;
    probe.remove();
    return width;
  };
  const sheets = {A4: ["210mm", "297mm"], A5: ["148mm", "210mm"], B5: ["176mm", "250mm"],
    LETTER: ["8.5in", "11in"], LEGAL: ["8.5in", "14in"]};
  let size = "A4", margins = ["0", "0", "0", "0"];
  const rules = [];
  for (const sheet of document.styleSheets) {
    for (let at = sheet.cssRules.length - 1; at >= 0; at -= 1) {
      if (sheet.cssRules[at] instanceof CSSPageRule) {
        rules.unshift(sheet.cssRules[at]);
        sheet.deleteRule(at);
      }
    }
  }
  for (const wanted of ["", name, ":first", `${name}:first`]) {
    for (const rule of rules.filter((rule) => rule.selectorText === wanted)) {
      size = rule.style.size || size;
      ["top", "right", "bottom", "left"].forEach((side, at) => {
        margins[at] = rule.style.getPropertyValue(`margin-${side}`) || margins[at];
      });
    }
  }
  const [width, height] = (sheets[size.toUpperCase()] || size.split(" ")).map(px);
  const [top, right, bottom, left] = margins.map(px);
  const style = document.createElement("style");
  style.textContent = `@page { size: ${1000 * ZOOM}px ${1500 * ZOOM}px; margin: 0 }
    html { zoom: ${ZOOM}; position: relative; width: ${width - left - right}px !important;
      height: ${height - top - bottom}px; margin: ${top}px 0 0 ${left}px !important }
    body { contain: size; height: ${height - top - bottom}px }`;
  document.head.append(style);
  return [top, width - right, height - bottom, left].map((edge) => edge * 0.75);
})()""".replace("ZOOM", str(ZOOM))


def characters(page, zoom=1):
    """(character, x, y of its origin) in points from the upper left corner."""
    text = page.get_textpage()
    height = page.get_height()
    high = 0
    x, y = ctypes.c_double(), ctypes.c_double()
    found = []
    for at in range(pdfium.FPDFText_CountChars(text.raw)):
        code = pdfium.FPDFText_GetUnicode(text.raw, at)
        # Beyond the first plane PDFium gives the two halves of UTF-16.
        if 0xD800 <= code < 0xDC00:
            high = code
            continue
        if 0xDC00 <= code < 0xE000:
            code = 0x10000 + ((high - 0xD800) << 10) + (code - 0xDC00)
        generated = pdfium.FPDFText_IsGenerated(text.raw, at) == 1
        if generated or code in (0, 0xFFFE) or chr(code).isspace():
            continue
        # Selectors follow their character at its place.
        if 0xFE00 <= code <= 0xFE0F or 0xE0100 <= code <= 0xE01EF:
            continue
        pdfium.FPDFText_GetCharOrigin(text.raw, at, x, y)
        found.append((chr(code), x.value / zoom, (height - y.value) / zoom))
    text.close()
    return found


def pages(pdf, zoom=1):
    document = pypdfium2.PdfDocument(pdf)
    found = [characters(page, zoom) for page in document]
    document.close()
    return found


def partners(theirs, ours):
    """Pairs each of their characters with the nearest equal one of ours, the
    nearest pairs first; what is left over has no partner."""
    free = {}
    for at, (letter, x, y) in enumerate(ours):
        free.setdefault(letter, []).append((at, x, y))
    near = []
    for their, (letter, x, y) in enumerate(theirs):
        for at, ox, oy in free.get(letter, ()):
            near.append((math.hypot(x - ox, y - oy), their, at))
    near.sort()
    taken_theirs, taken_ours, pairs = set(), set(), {}
    for far, their, at in near:
        if their not in taken_theirs and at not in taken_ours:
            taken_theirs.add(their)
            taken_ours.add(at)
            pairs[their] = (far, at)
    extra = [one for at, one in enumerate(ours) if at not in taken_ours]
    return pairs, extra


def lines(found):
    """Characters of one baseline next to each other, as text with its place."""
    rows = {}
    for letter, x, y, dx, dy in found:
        rows.setdefault(round(y), []).append((x, y, letter, dx, dy))
    for y in sorted(rows):
        row = sorted(rows[y])
        yield (
            "".join(letter for _, _, letter, _, _ in row),
            row[0][0], row[0][1],
            max((dx for *_, dx, _ in row), key=abs),
            max((dy for *_, dy in row), key=abs),
        )


def compare(theirs, ours):
    """Lines that are off, and the largest distance of the characters that are not."""
    off, worst = [], 0.0
    pairs, extra = partners(theirs, ours)
    for their, (letter, x, y) in enumerate(theirs):
        if their not in pairs:
            off.append((letter, x, y, math.nan, math.nan))
            continue
        far, at = pairs[their]
        if far <= TOLERANCE:
            worst = max(worst, far)
        else:
            off.append((letter, x, y, ours[at][1] - x, ours[at][2] - y))
    complaints = []
    for text, x, y, dx, dy in lines([one for one in off if not math.isnan(one[3])]):
        complaints.append(
            f"`{text}` at {x:.1f}, {y:.1f}: ours is {dx:+.2f} pt right, "
            f"{dy:+.2f} pt down"
        )
    for text, x, y, _, _ in lines([one for one in off if math.isnan(one[3])]):
        complaints.append(f"`{text}` at {x:.1f}, {y:.1f} is missing in ours")
    for text, x, y, _, _ in lines([(*one, 0.0, 0.0) for one in extra]):
        complaints.append(f"`{text}` at {x:.1f}, {y:.1f} is only in ours")
    return complaints, worst


def until_the_break(ours, theirs):
    """The characters above the last line of our page."""
    rows = sorted({round(y) for _, _, y in ours})
    # A page that was cut between two rows ends with the sum so far.
    end = rows[-2] + TOLERANCE
    return [[one for one in found if one[2] <= end] for found in (ours, theirs)]


def printed(browser, html):
    """Chromium's pages and the page area, see `ROOT`."""
    browser.open(html.as_uri())
    area = browser.run(ROOT)
    return pages(browser.print(), ZOOM), area


def main():
    names = [argument for argument in sys.argv[1:] if not argument.startswith("-")]
    shown = None if "--all" in sys.argv else SHOWN
    tried = wrong = 0
    with tempfile.TemporaryDirectory() as scratch, Chromium() as browser:
        scratch = pathlib.Path(scratch)
        pdf, html = scratch / "ours.pdf", scratch / "html"
        for name, sample, locale in place.documents():
            if names and name not in names:
                continue
            place.render(name, sample, locale, pdf=pdf, html=html)
            ours = pages(str(pdf))
            theirs, (top, _, bottom, _) = printed(browser, html / "index.html")
            inside = [one for one in ours[0] if top <= one[2] <= bottom]
            if len(ours) > 1:
                inside, first = until_the_break(inside, theirs[0])
                theirs = [first]
            complaints, worst = compare([one for page in theirs for one in page], inside)
            if len(theirs) > 1:
                complaints.insert(0, f"one page; Chromium makes {len(theirs)}")
            tried += 1
            wrong += bool(complaints)
            print(
                f"{place.label(name, sample, locale):<44} {len(inside):>5} characters, "
                f"{len(complaints)} lines off, the others {worst:.2f} pt at the most"
            )
            for complaint in complaints[:shown]:
                print(f"    {complaint}")
            if shown is not None and len(complaints) > shown:
                print(f"    … and {len(complaints) - shown} more")
    print(f"{tried} documents, {wrong} of them off by more than {TOLERANCE} pt")
    if tried == 0 or wrong:
        sys.exit(1)


main()
