#!/usr/bin/env python3
"""Every bundled template, sample and language, as other people's readers see it.

- `qpdf --check` has nothing to say;
- every font is embedded, cut down and has a Unicode map (`pdffonts`);
- every string of the data is in the text that `pdftotext` finds;
- fontTools reads every embedded font program, checksums included;
- poppler, MuPDF and PDFium draw the same pages;
- the pages are those of the goldens, `templates/documents/NAME/golden.*.png`.

`KAKITOME_BLESS=1` writes the goldens anew: look at them before committing them.
A page that differs is left beside the golden in target/, with the difference.
"""

import io
import json
import os
import pathlib
import re
import sys
import tempfile
import unicodedata

import numpy
import pymupdf
import pypdfium2
from fontTools.ttLib import TTFont
from PIL import Image

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent / "pages"))
import place  # noqa: E402

# Pages are drawn finer than they are compared, so that the way in which a reader
# rounds and smooths the edges of its dots hardly counts.
FINER = 3
# Of goldens: small, and enough to see a line that moved by half a point.
GOLDEN_DPI = 60
GOLDEN_BYTES = 40_000
# Of the comparison of readers: a dot is a point.
DPI = 72
# The largest difference of grey, 0 to 255. Readers that agree are some 30 apart,
# and a page is 65 and more apart from itself moved by a point.
READERS_APART = 45.0
# The same reader, another version of it.
GOLDEN_APART = 24.0

# Keys whose values decide something and are not printed as they are.
SILENT = re.compile(
    r"(^|\.)(tax_class|prices|rounding|locale|kind|paper|currency|honorific|language|level"
    r"|paid_by|medium)$"
)
DATE = re.compile(r"\d{4}-\d\d-\d\d$")
NUMBER = re.compile(r"-?\d+(\.\d+)?$")


def strings(value, path=""):
    """Every string of the data that is to be read as it is, with its path."""
    if isinstance(value, dict):
        for key, inside in value.items():
            yield from strings(inside, f"{path}.{key}" if path else key)
    elif isinstance(value, list):
        for number, inside in enumerate(value):
            yield from strings(inside, f"{path}[{number}]")
    elif isinstance(value, str) and not SILENT.search(re.sub(r"\[\d+\]", "", path)):
        yield path, value


def plain(text):
    """Without blanks, selectors and what a line's end adds."""
    text = re.sub(r"[\s\u00ad\u200b\ufe00-\ufe0f\U000e0100-\U000e01ef]", "", text)
    return unicodedata.normalize("NFC", text)


def forms(value):
    """How a value may be printed: as it is, or as its filter writes it."""
    yield plain(value)
    if DATE.match(value):
        year, month, day = (int(part) for part in value.split("-"))
        months = "January February March April May June July August September October November December"
        yield f"{year}年{month}月{day}日"
        yield f"令和{year - 2018}年{month}月{day}日"
        yield f"{day}{months.split()[month - 1]}{year}"
        yield f"{day}{months.split()[month - 1][:3]}{year}"
        yield f"{year}/{month:02}/{day:02}"
    elif NUMBER.match(value):
        whole, _, part = value.lstrip("-").partition(".")
        grouped = f"{int(whole):,}"
        part = part.rstrip("0")
        yield f"{grouped}.{part}" if part else grouped
        yield f"{grouped}.{part:0<2}"


def found_in(text, value):
    return any(form in text for form in forms(value))


class Wrong(Exception):
    pass


def sound(pdf):
    place.run("qpdf", "--check", str(pdf))
    rows = place.run("pdffonts", str(pdf)).decode().splitlines()[2:]
    if not rows:
        raise Wrong("no fonts")
    for row in rows:
        # … emb sub uni object generation, from the right.
        emb, sub, uni = row.split()[-5:-2]
        if (emb, sub, uni) != ("yes", "yes", "yes"):
            raise Wrong(f"a font is not embedded, cut or mapped: {row}")


# What one language has its own words for.
ONE_LANGUAGE = {("salutation", "ja"), ("closing", "ja")}


def complete(pdf, data, locale):
    text = plain(place.run("pdftotext", "-raw", str(pdf), "-").decode())
    # Right-aligned columns are read in another order in this mode.
    text += plain(place.run("pdftotext", "-layout", str(pdf), "-").decode())
    missing = [
        path for path, value in strings(data)
        if (path, locale) not in ONE_LANGUAGE and not found_in(text, value)
    ]
    if missing:
        raise Wrong(f"not in the text: {', '.join(missing)}")


def fonts(document):
    embedded = {font[0] for page in document for font in page.get_fonts(full=True)}
    if not embedded:
        raise Wrong("no font programs")
    for number in sorted(embedded):
        name, kind, _, program = document.extract_font(number)
        if kind != "ttf":
            raise Wrong(f"{name}: a font program of kind {kind}")
        font = TTFont(io.BytesIO(program), checkChecksums=2, lazy=False)
        for tag in ("head", "hhea", "maxp", "loca", "hmtx"):
            if tag not in font:
                raise Wrong(f"{name} has no {tag}")
        glyphs = font["glyf"]
        for glyph in font.getGlyphOrder():
            glyphs[glyph].getCoordinates(glyphs)


def coarser(picture):
    """The mean of FINER × FINER dots."""
    height, width = (side // FINER for side in picture.shape)
    whole = picture[: height * FINER, : width * FINER]
    return whole.reshape(height, FINER, width, FINER).mean(axis=(1, 3))


def drawn_by_poppler(pdf, dpi, folder):
    place.run("pdftoppm", "-r", str(dpi * FINER), "-gray", "-png", str(pdf), str(folder / "page"))
    files = sorted(folder.glob("page-*.png"), key=lambda file: int(file.stem.split("-")[-1]))
    pages = [coarser(numpy.asarray(Image.open(file).convert("L"), dtype=float)) for file in files]
    for file in files:
        file.unlink()
    return pages


def drawn_by_mupdf(document, dpi):
    for page in document:
        picture = page.get_pixmap(dpi=dpi * FINER, colorspace=pymupdf.csGRAY)
        shape = (picture.height, picture.stride)
        rows = numpy.frombuffer(picture.samples, dtype=numpy.uint8).reshape(shape)
        yield coarser(rows[:, : picture.width].astype(float))


def drawn_by_pdfium(pdf, dpi):
    document = pypdfium2.PdfDocument(pdf)
    for page in document:
        picture = page.render(scale=dpi * FINER / 72, grayscale=True).to_pil().convert("L")
        yield coarser(numpy.asarray(picture, dtype=float))
    document.close()


def blurred(picture, passes):
    """Each pass is the mean of 3 × 3, with white around the page."""
    for _ in range(passes):
        wide = numpy.pad(picture, 1, constant_values=255.0)
        rows = wide[:-2] + wide[1:-1] + wide[2:]
        picture = (rows[:, :-2] + rows[:, 1:-1] + rows[:, 2:]) / 9
    return picture


def apart(one, two, passes=2):
    """The largest difference of grey, 0 to 255, once edges are softened: readers
    smooth edges in their own ways, but put the same ink in the same place."""
    height = max(one.shape[0], two.shape[0])
    width = max(one.shape[1], two.shape[1])
    if height - min(one.shape[0], two.shape[0]) > 1 or width - min(one.shape[1], two.shape[1]) > 1:
        return 255.0, None

    def fit(picture):
        below, beside = height - picture.shape[0], width - picture.shape[1]
        return numpy.pad(picture, ((0, below), (0, beside)), constant_values=255.0)

    difference = numpy.abs(blurred(fit(one), passes) - blurred(fit(two), passes))
    return float(difference.max()), difference


def agree(document, pdf, folder):
    readers = {
        "poppler": drawn_by_poppler(pdf, DPI, folder),
        "mupdf": list(drawn_by_mupdf(document, DPI)),
        "pdfium": list(drawn_by_pdfium(pdf, DPI)),
    }
    names = list(readers)
    worst = 0.0
    for first, second in ((0, 1), (0, 2), (1, 2)):
        one, two = readers[names[first]], readers[names[second]]
        if len(one) != len(two):
            raise Wrong(f"{names[first]} and {names[second]} count pages differently")
        for number, (left, right) in enumerate(zip(one, two), start=1):
            far, _ = apart(left, right)
            worst = max(worst, far)
            if far > READERS_APART:
                pair = f"{names[first]} and {names[second]}"
                raise Wrong(f"page {number}: {pair} differ by {far:.0f}")
    return worst


def golden(name, sample, locale, pages):
    """Compares the first two pages and the last with their goldens."""
    worst = 0.0
    for number in sorted({1, 2, len(pages)} & set(range(1, len(pages) + 1))):
        file = place.TEMPLATES / name / f"golden.{sample.stem}.{locale}.{number}.png"
        worst = max(worst, one_golden(file, pages[number - 1]))
    return worst


def one_golden(file, page):
    if "KAKITOME_BLESS" in os.environ:
        # Sixteen greys are enough, and a third of the bytes.
        greys = Image.fromarray((numpy.round(page / 17) * 17).astype(numpy.uint8))
        greys.quantize(16).save(file, optimize=True)
        if file.stat().st_size > GOLDEN_BYTES:
            raise Wrong(f"{file.name} has {file.stat().st_size} bytes")
        return 0.0
    if not file.exists():
        raise Wrong(f"{file.name} is missing: KAKITOME_BLESS=1 writes it")
    wanted = numpy.asarray(Image.open(file).convert("L"), dtype=float)
    far, difference = apart(wanted, page)
    if far > GOLDEN_APART:
        left = place.TOP / "target" / "goldens"
        left.mkdir(parents=True, exist_ok=True)
        kept = left / f"{file.parent.name}.{file.name}"
        Image.fromarray(page.astype(numpy.uint8)).save(kept)
        if difference is not None:
            seen = 255 - numpy.clip(difference * 2, 0, 255)
            Image.fromarray(seen.astype(numpy.uint8)).save(kept.with_suffix(".difference.png"))
        raise Wrong(f"not as {file.name} any more, by {far:.0f}: look at {kept}")
    return far


def check(name, sample, locale, folder):
    pdf = folder / "document.pdf"
    place.render(name, sample, locale, pdf=pdf)
    problems, readers_apart, golden_apart = [], 0.0, 0.0
    document = pymupdf.open(pdf)
    data = json.loads(sample.read_text())
    for test in (
        lambda: sound(pdf),
        lambda: complete(pdf, data, locale),
        lambda: fonts(document),
    ):
        try:
            test()
        except (Wrong, RuntimeError, AssertionError) as problem:
            problems.append(str(problem))
    try:
        readers_apart = agree(document, pdf, folder)
    except Wrong as problem:
        problems.append(str(problem))
    try:
        golden_apart = golden(name, sample, locale, drawn_by_poppler(pdf, GOLDEN_DPI, folder))
    except Wrong as problem:
        problems.append(str(problem))
    count = document.page_count
    document.close()
    print(
        f"{place.label(name, sample, locale):<44} {count:>3} pages  readers apart "
        f"{readers_apart:>3.0f}  golden apart {golden_apart:>3.0f}"
    )
    for problem in problems:
        print(f"    {problem}")
    return count, len(problems)


def main():
    documents = pages = wrong = 0
    with tempfile.TemporaryDirectory() as scratch:
        for name, sample, locale in place.documents():
            count, problems = check(name, sample, locale, pathlib.Path(scratch))
            documents, pages, wrong = documents + 1, pages + count, wrong + problems
    print(f"{documents} documents, {pages} pages, {wrong} problems")
    if documents == 0 or wrong:
        sys.exit(1)


main()
