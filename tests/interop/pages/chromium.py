"""A headless Chromium that stays warm, driven over its debugging pipe.

Needs nothing but the program: the protocol is JSON between NUL bytes on two
file descriptors.
"""

import base64
import json
import os
import select
import shutil
import signal
import subprocess
import tempfile
import time

PATIENCE = 120


class Chromium:
    """`with Chromium() as browser: pdf = browser.print(url)`."""

    def __init__(self, program="chromium"):
        self.folder = tempfile.mkdtemp(prefix="kakitome-chromium-")
        to_read, self.to = os.pipe()
        self.back, to_write = os.pipe()

        def place_pipes():
            # Copies above 4 first: either pipe may be 3 or 4 already.
            read, write = os.dup(to_read), os.dup(to_write)
            os.dup2(read, 3)
            os.dup2(write, 4)

        self.process = subprocess.Popen(
            [
                program, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run",
                "--disable-dev-shm-usage", "--disable-extensions", "--mute-audio",
                "--disable-background-networking", "--remote-debugging-pipe",
                "--allow-file-access-from-files", "--font-render-hinting=none",
                f"--user-data-dir={self.folder}", "about:blank",
            ],
            preexec_fn=place_pipes, close_fds=False, start_new_session=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )
        os.close(to_read)
        os.close(to_write)
        self.number = 0
        self.buffer = b""
        self.events = []
        target = self.ask("Target.createTarget", {"url": "about:blank"})["targetId"]
        self.session = self.ask(
            "Target.attachToTarget", {"targetId": target, "flatten": True}
        )["sessionId"]
        self.ask("Page.enable", session=self.session)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        for end in (self.to, self.back):
            os.close(end)
        # Its own session, so this reaches every process of it and nothing else.
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def message(self, until):
        while b"\0" not in self.buffer:
            left = until - time.monotonic()
            if left <= 0 or not select.select([self.back], [], [], left)[0]:
                raise TimeoutError("Chromium does not answer")
            piece = os.read(self.back, 1 << 20)
            if not piece:
                raise EOFError("Chromium has ended")
            self.buffer += piece
        one, self.buffer = self.buffer.split(b"\0", 1)
        return json.loads(one)

    def ask(self, method, parameters=None, session=None):
        self.number += 1
        message = {"id": self.number, "method": method, "params": parameters or {}}
        if session:
            message["sessionId"] = session
        data = json.dumps(message).encode() + b"\0"
        while data:
            data = data[os.write(self.to, data):]
        until = time.monotonic() + PATIENCE
        while True:
            answer = self.message(until)
            if answer.get("id") == self.number:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']['message']}")
                return answer["result"]
            self.events.append(answer)

    def wait_for(self, event):
        until = time.monotonic() + PATIENCE
        while True:
            for at, one in enumerate(self.events):
                if one.get("method") == event and one.get("sessionId") == self.session:
                    del self.events[: at + 1]
                    return
            self.events.append(self.message(until))

    def open(self, url):
        """Loads a page and waits for its fonts."""
        self.events.clear()
        self.ask("Page.navigate", {"url": url}, self.session)
        self.wait_for("Page.loadEventFired")
        self.run("document.fonts.ready.then(() => true)")

    def run(self, script):
        parameters = {"expression": script, "awaitPromise": True, "returnByValue": True}
        result = self.ask("Runtime.evaluate", parameters, self.session)
        return result["result"].get("value")

    def print(self, url=None):
        """The page, or the one that is open, as a PDF; sheet and margins as its
        stylesheet says."""
        if url:
            self.open(url)
        parameters = {
            "printBackground": True, "preferCSSPageSize": True, "displayHeaderFooter": False,
            "marginTop": 0, "marginBottom": 0, "marginLeft": 0, "marginRight": 0,
        }
        return base64.b64decode(self.ask("Page.printToPDF", parameters, self.session)["data"])

    def picture(self, url, width, height, pause=0):
        """The page on a screen, as a PNG."""
        screen = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.ask("Emulation.setDeviceMetricsOverride", screen, self.session)
        self.open(url)
        time.sleep(pause)
        return base64.b64decode(self.ask("Page.captureScreenshot", {}, self.session)["data"])
