#!/usr/bin/env python3
"""Where the letters stand, compared with headless Chromium.

The HTML of every bundled template and sample (`kakitome render --html`) is
printed by Chromium; PDFium says where every character's origin is in that PDF
and in ours. Every character of Chromium's page must have the same one of ours
within a point, page by page. Multi-page documents are compared only up to
where both broke the first page: running sums and page-break choices are ours.

Not compared is what a browser cannot know: the margin boxes that Chromium
lacks, and the elements `kakitome-…`.

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
# Lines shown of each document.
SHOWN = 12


def characters(page):
    """(character, x, y of its origin) in points from the lower left corner."""
    text = page.get_textpage()
    x, y = ctypes.c_double(), ctypes.c_double()
    found = []
    for at in range(pdfium.FPDFText_CountChars(text.raw)):
        code = pdfium.FPDFText_GetUnicode(text.raw, at)
        generated = pdfium.FPDFText_IsGenerated(text.raw, at) == 1
        if generated or code in (0, 0xFFFE) or chr(code).isspace():
            continue
        # Selectors follow their character at its place.
        if 0xFE00 <= code <= 0xFE0F or 0xE0100 <= code <= 0xE01EF:
            continue
        pdfium.FPDFText_GetCharOrigin(text.raw, at, x, y)
        found.append((chr(code), x.value, y.value))
    text.close()
    return found


def pages(pdf):
    document = pypdfium2.PdfDocument(pdf)
    found = [(page.get_size(), characters(page)) for page in document]
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
    for y in sorted(rows, reverse=True):
        row = sorted(rows[y])
        yield (
            "".join(letter for _, _, letter, _, _ in row),
            row[0][0], row[0][1],
            max((dx for *_, dx, _ in row), key=abs),
            max((dy for *_, dy in row), key=abs),
        )


def compare(number, theirs, ours):
    """Lines of a page that are off, and the largest distance of those that are not."""
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
            f"page {number}: `{text}` at {x:.1f}, {y:.1f}: ours is {dx:+.2f} pt right, "
            f"{dy:+.2f} pt up"
        )
    for text, x, y, _, _ in lines([one for one in off if math.isnan(one[3])]):
        complaints.append(f"page {number}: `{text}` at {x:.1f}, {y:.1f} is missing in ours")
    for text, x, y, _, _ in lines([(*one, 0.0, 0.0) for one in extra]):
        complaints.append(f"page {number}: `{text}` at {x:.1f}, {y:.1f} is only in ours")
    return complaints, worst


def without_margins(page, only_ours):
    """Without the margin boxes that a browser does not draw: `string()`."""
    return [one for one in page if one not in only_ours]


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
            theirs = pages(browser.print((html / "index.html").as_uri()))
            complaints, worst = [], 0.0
            if len(ours) == 1 == len(theirs):
                (size, our_page), (their_size, their_page) = ours[0], theirs[0]
                if max(abs(a - b) for a, b in zip(size, their_size)) > TOLERANCE:
                    complaints.append(f"the sheet is {size}, Chromium's {their_size}")
                found, worst = compare(1, their_page, our_page)
                complaints += found
            elif len(ours) == 1:
                complaints.append(f"one page; Chromium makes {len(theirs)}")
            else:
                # More than a page: only the beginning can be the same.
                print(f"{place.label(name, sample, locale):<44} {len(ours)} pages, not compared")
                continue
            tried += 1
            wrong += bool(complaints)
            print(
                f"{place.label(name, sample, locale):<44} {len(ours[0][1]):>5} characters, "
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
