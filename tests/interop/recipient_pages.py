"""The recipient's pages in a real browser: every page, in both languages, light
and dark, on a phone and on a desk.

Each is looked at by axe-core (WCAG 2.2 AA and its best practices; not one
finding is let through) and its HTML by a strict parser; no page needs a
script, a picture or a cookie. KAKITOME_BIN is the program; KAKITOME_BLESS=1
writes the pictures of docs/PAGES.md anew.
"""

import importlib.resources
import io
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import time
import tomllib
import urllib.error
import urllib.parse
import urllib.request

import html5lib
from PIL import Image

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from pages.chromium import Chromium  # noqa: E402
from pages.place import TOP, program  # noqa: E402

LANGUAGES = ("ja", "en")
SCHEMES = ("light", "dark")
SCREENS = {"phone": (390, 844), "desk": (1280, 900)}
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
PICTURES = TOP / "docs" / "pages"
# Page, language, scheme, screen: what docs/PAGES.md shows.
SHOWN = {
    ("link", "ja", "light", "phone"), ("link", "en", "dark", "phone"),
    ("link", "ja", "light", "desk"), ("code", "ja", "light", "phone"),
    ("passcode-wrong", "en", "light", "phone"), ("viewer", "ja", "light", "phone"),
    ("viewer", "en", "dark", "desk"), ("not-mine", "ja", "light", "phone"),
    ("gone", "en", "light", "phone"),
}
AXE = """
axe.run(document, {runOnly: {type: 'tag', values: %s}, resultTypes: ['violations']})
  .then(found => JSON.stringify(found.violations.map(one => ({
    rule: one.id, help: one.help, where: one.nodes.map(node => node.target.join(' ')),
    why: one.nodes.map(node => node.failureSummary)}))))
""" % json.dumps(RULES)


class NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_):
        return None


ASK = urllib.request.build_opener(NoRedirect)


def ask(url, fields=None, headers=None):
    """(status, headers, text) of one request; redirects are not followed."""
    data = None if fields is None else urllib.parse.urlencode(fields).encode()
    request = urllib.request.Request(url, data=data, headers=headers or {})
    try:
        answer = ASK.open(request, timeout=30)
    except urllib.error.HTTPError as error:
        answer = error
    with answer:
        return answer.status, answer.headers, answer.read().decode()


def until(what, look, seconds=60):
    """Waits until `look` gives something."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = look()
        if found:
            return found
        time.sleep(0.1)
    raise TimeoutError(what)


class Office:
    """A running demo, and what its sender and its recipient do."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.log = open(self.folder / "log", "w")
        self.process = subprocess.Popen(
            [program(), "demo", "--listen", "127.0.0.1:0", "--data", str(self.folder / "demo")],
            stdout=subprocess.PIPE, stderr=self.log, text=True,
        )
        said = {}
        for line in self.process.stdout:
            found = re.match(r"\s+(mails caught|recipients' pages)\s+(http://\S+?)/", line)
            if found:
                said[found.group(1)] = found.group(2)
            if "Ctrl-C" in line:
                break
        if len(said) < 2:
            self.process.kill()
            status = self.process.wait()
            log = (self.folder / "log").read_text()
            sys.exit(f"the demo did not open (ended with {status}):\n{log[-4000:]}")
        self.mails, self.pages = said["mails caught"], said["recipients' pages"]
        config = tomllib.loads((self.folder / "demo" / "kakitome.toml").read_text())
        self.api = f"http://{config['listen']['api']}"
        self.token = (self.folder / "demo" / "token").read_text()
        self.sample = json.loads((TOP / "docs/examples/email-invoice.json").read_text())
        self.number = 0

    def close(self):
        self.process.terminate()
        self.process.wait(30)
        self.log.close()

    def send(self, factor=None):
        """Sends a document; its link."""
        self.number += 1
        address = f"sato{self.number}@kikyo.example.jp"
        job = dict(self.sample, key=f"pages/{self.number}", tenant="demo")
        job["recipient"] = dict(job["recipient"], email=address)
        if factor:
            job["link"] = {"second_factor": factor}
        request = urllib.request.Request(
            f"{self.api}/v1/jobs", data=json.dumps(job).encode(),
            headers={"authorization": f"Bearer {self.token}", "content-type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            assert answer.status in (200, 201, 202), answer.status
        text = self.mail(address, "/d/")
        return re.search(rf"{re.escape(self.pages)}/d/[\w-]+", text).group(0), address

    def mail(self, address, mark):
        """The newest mail to an address that holds a mark."""
        def look():
            mails = json.loads(ask(f"{self.mails}/api/mails")[2])
            for one in mails["mails"]:
                if address not in json.dumps(one):
                    continue
                whole = json.loads(ask(f"{self.mails}/api/mails/{one['number']}")[2])
                if mark in (whole.get("text") or ""):
                    return whole["text"]
            return None
        return until(f"a mail to {address} with {mark}", look)

    def code(self, address):
        return re.search(r"^(\d{8})\s*$", self.mail(address, "確認コード"), re.M).group(1)


def field(page, name):
    return re.search(rf'name="{name}" value="([^"]*)"', page).group(1)


class Walk:
    """Goes through the pages and looks at each in every way."""

    def __init__(self, browser, office):
        self.browser, self.office = browser, office
        self.axe = importlib.resources.files("axe_playwright_python").joinpath("axe.min.js")
        self.axe = self.axe.read_text()
        self.looks, self.faults = 0, []

    def ask(self, method, **parameters):
        return self.browser.ask(method, parameters, self.browser.session)

    def show(self, scheme, screen):
        width, height = SCREENS[screen]
        self.ask("Emulation.setEmulatedMedia",
                 features=[{"name": "prefers-color-scheme", "value": scheme}])
        self.ask("Emulation.setDeviceMetricsOverride", width=width, height=height,
                 deviceScaleFactor=1, mobile=screen == "phone")

    def goes(self, act):
        """Does what loads another page, and waits for it."""
        self.browser.events.clear()
        self.browser.run(act)
        self.browser.wait_for("Page.loadEventFired")

    def press(self, form, **fields):
        """Fills the form with this address, and presses its button."""
        for name, value in fields.items():
            assert self.browser.run(
                f"(() => {{ const field = document.querySelector('[name={name}]');"
                f"if (field.type === 'checkbox') field.checked = true;"
                f"else field.value = {json.dumps(value)}; return true }})()")
        self.goes(f"document.querySelector('form[action=\"{form}\"] button').click(), true")

    def look(self, name, language):
        """Looks at the page that is open."""
        said = self.browser.run("document.documentElement.lang")
        self.check(said == language, name, f"its language is {said}, not {language}")
        for screen in SCREENS:
            for scheme in SCHEMES:
                where = f"{name} {language} {scheme} {screen}"
                self.show(scheme, screen)
                self.looks += 1
                self.browser.run(self.axe + "; true")
                for found in json.loads(self.browser.run(AXE)):
                    self.faults.append(f"{where}: {found}")
                wide = self.browser.run(
                    "document.documentElement.scrollWidth - document.documentElement.clientWidth")
                self.check(wide <= 0, where, f"scrolls sideways by {wide}")
                self.picture(name, language, scheme, screen)

    def picture(self, name, language, scheme, screen):
        folder = os.environ.get("KAKITOME_TEST_PICTURES")
        bless = os.environ.get("KAKITOME_BLESS") and (name, language, scheme, screen) in SHOWN
        if not folder and not bless:
            return
        width, height = SCREENS[screen]
        high = self.browser.run("document.documentElement.scrollHeight")
        self.ask("Emulation.setDeviceMetricsOverride", width=width, height=max(high, height),
                 deviceScaleFactor=1, mobile=screen == "phone")
        import base64
        png = base64.b64decode(self.ask("Page.captureScreenshot")["data"])
        file = f"{name}-{language}-{scheme}-{screen}.png"
        if folder:
            (pathlib.Path(folder) / file).write_bytes(png)
        if bless:
            PICTURES.mkdir(exist_ok=True)
            image = Image.open(io.BytesIO(png)).convert("RGB")
            image = image.quantize(256, kmeans=2, dither=Image.Dither.NONE)
            image.save(PICTURES / file, optimize=True)

    def check(self, holds, where, why):
        if not holds:
            self.faults.append(f"{where}: {why}")

    def valid(self, name, page):
        try:
            html5lib.HTMLParser(strict=True).parse(page)
        except html5lib.html5parser.ParseError as error:
            self.faults.append(f"{name}: the HTML is not valid: {error}")

    def open(self, name, url, language):
        self.valid(name, ask(url)[2])
        self.browser.open(url)
        self.look(name, language)

    def page(self, name, url):
        """A page with an address of its own."""
        for language in LANGUAGES:
            self.open(name, f"{url}?lang={language}", language)


def links(walk):
    office = walk.office
    plain, _ = office.send()
    walk.page("link", plain)
    walk.page("not-mine", plain.replace("/d/", "/n/"))
    walk.press("/n", sure="yes")
    walk.check("/thanks" in walk.browser.run("location.href"), "not-mine", "no thanks")
    walk.page("thanks", f"{office.pages}/thanks")
    walk.page("gone", plain)
    walk.page("missing", f"{office.pages}/d/{'A' * 48}")


def codes(walk):
    link, address = walk.office.send({"kind": "email_code"})
    walk.page("link-code", link)
    for language in LANGUAGES:
        walk.browser.open(f"{link}?lang={language}")
        walk.press("/o")
        walk.look("code", language)
    walk.valid("code", ask(walk.browser.run("location.href"))[2])
    code = walk.office.code(address)
    wrong = f"{(int(code) + 1) % 10**8:08}"
    walk.press("/c", answer=wrong)
    walk.look("code-wrong", "en")
    here = walk.browser.run("document.querySelector('[name=ticket]').value")
    walk.page("code-again", f"{walk.office.pages}/c/{here}")
    walk.press("/c", answer=f"{code[:4]} {code[4:]}")
    walk.look("viewer-code", "en")


def passcodes(walk):
    link, _ = walk.office.send({"kind": "passcode", "passcode": "さくら123"})
    walk.page("link-passcode", link)
    for language in LANGUAGES:
        walk.browser.open(f"{link}?lang={language}")
        walk.press("/o")
        walk.look("passcode", language)
        for _ in range(2):
            walk.press("/c", answer="wrong-one")
        walk.look("passcode-wrong", language)
    walk.press("/c", answer="さくら１２３")
    walk.look("viewer-passcode", "en")
    link, _ = walk.office.send({"kind": "passcode", "passcode": "さくら123"})
    for language in LANGUAGES:
        walk.browser.open(f"{link}?lang={language}")
        walk.press("/o")
        while walk.browser.run("!!document.querySelector('form[action=\"/c\"]')"):
            walk.press("/c", answer="wrong-one")
        walk.look("passcode-closed", language)


def viewers(walk):
    link, _ = walk.office.send()
    page = ask(link)[2]
    fields = {name: field(page, name) for name in ("token", "nonce", "lang")}
    # A visitor without cookies, with everything our pages ask for.
    status, headers, _ = ask(f"{walk.office.pages}/o", fields, {"origin": walk.office.pages})
    walk.check(status == 303, "without cookies", f"answers {status}")
    elsewhere = walk.office.pages + headers["location"]
    status, _, text = ask(elsewhere)
    walk.check(status == 200 and "file" in text, "without cookies", f"answers {status}")
    walk.browser.open(f"{link}?lang=ja")
    walk.press("/o")
    here = walk.browser.run("location.origin + location.pathname")
    walk.page("viewer", here)
    both = walk.browser.run(
        "[...document.querySelectorAll('.history .dot')].map(dot => dot.className).join()")
    walk.check(both == "dot this,dot other", "viewer", f"the history shows {both}")


def bare(walk):
    """Without scripts, pictures and cookies everything works all the same."""
    walk.ask("Network.enable")
    walk.ask("Network.setBlockedURLs", urls=["*.svg", "*.png"])
    walk.ask("Emulation.setScriptExecutionDisabled", value=True)
    walk.ask("Emulation.setDocumentCookieDisabled", disabled=True)
    link, _ = walk.office.send()
    walk.browser.open(f"{link}?lang=en")
    walk.press("/o")
    words = walk.browser.run("document.body.innerText")
    walk.check("Download" in words, "bare", "the document's page is not reached")
    walk.ask("Emulation.setScriptExecutionDisabled", value=False)
    walk.look("bare", "en")


def with_fonts(folder):
    """Lets the browser write Japanese, whatever fonts the machine has."""
    file = pathlib.Path(folder) / "fonts.conf"
    file.write_text(
        '<?xml version="1.0"?><fontconfig><include ignore_missing="yes">/etc/fonts/fonts.conf'
        f"</include><dir>{TOP / 'fonts'}</dir>"
        "<alias><family>sans-serif</family><prefer><family>Noto Sans JP</family></prefer></alias>"
        "<alias><family>system-ui</family><prefer><family>Noto Sans JP</family></prefer></alias>"
        "</fontconfig>")
    os.environ["FONTCONFIG_FILE"] = str(file)


def main():
    with tempfile.TemporaryDirectory(prefix="kakitome-pages-") as folder:
        with_fonts(folder)
        office = Office(folder)
        try:
            with Chromium() as browser:
                walk = Walk(browser, office)
                for part in (links, codes, passcodes, viewers, bare):
                    part(walk)
        finally:
            office.close()
    for fault in walk.faults:
        print(fault)
    print(f"{walk.looks} looks at pages, {len(walk.faults)} faults")
    sys.exit(1 if walk.faults else 0)


if __name__ == "__main__":
    main()
