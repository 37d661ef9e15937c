#!/usr/bin/env python3
"""The same job gives the same bytes: in other processes, time zones, locales and
years, with other numbers of threads and from another folder.

Every bundled template and sample is rendered twice, the second time in one of
the other surroundings; the invoice in all of them and in both profiles.
"""

import hashlib
import pathlib
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent / "pages"))
import place  # noqa: E402

# A command before the program, and what is set for it.
SURROUNDINGS = {
    "another process": ([], {}),
    "UTC": ([], {"TZ": "UTC"}),
    "the far east": ([], {"TZ": "Pacific/Kiritimati"}),
    "the far west": ([], {"TZ": "Pacific/Pago_Pago"}),
    "a Turkish locale": ([], {"LC_ALL": "tr_TR.UTF-8", "LANG": "tr_TR.UTF-8"}),
    "a Japanese locale": ([], {"LC_ALL": "ja_JP.eucJP"}),
    "no locale": ([], {"LC_ALL": "C"}),
    "one thread": (["taskset", "-c", "0"], {"TOKIO_WORKER_THREADS": "1"}),
    "eight threads": ([], {"TOKIO_WORKER_THREADS": "8"}),
    "a leap day": (["faketime", "2028-02-29 23:59:59"], {}),
    "the last century": (["faketime", "1999-12-31 23:59:59"], {}),
    "no surroundings": (["env", "-i"], {}),
}


def digest(name, sample, locale, profile, folder, before=(), more=None):
    pdf = folder / "same.pdf"
    command = [
        *before, place.program(), "render", "-t", name, "-d", str(sample), "--locale", locale,
        "--title", "同じ", "--profile", profile, "--attach-data", "-o", str(pdf),
    ]
    surroundings = {"PATH": "/usr/bin:/bin", **(more or {})}
    done = subprocess.run(command, cwd=folder, env=surroundings, capture_output=True, check=False)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)}: {done.stderr.decode(errors='replace')}")
    return hashlib.sha256(pdf.read_bytes()).hexdigest()


def main():
    wrong = tried = 0
    names = list(SURROUNDINGS)
    with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as other:
        one, other = pathlib.Path(one), pathlib.Path(other)
        for at, (name, sample, locale) in enumerate(place.documents()):
            thorough = (name, sample.name, locale) == ("invoice", "sample.json", "ja")
            for profile in ("plain", "archive") if thorough else ("plain",):
                wanted = digest(name, sample, locale, profile, one)
                for where in names if thorough else [names[at % len(names)]]:
                    before, more = SURROUNDINGS[where]
                    found = digest(name, sample, locale, profile, other, before, more)
                    tried += 1
                    if found != wanted:
                        wrong += 1
                        print(f"{place.label(name, sample, locale)}, {profile}: {where} differs")
    print(f"{tried} documents in {len(names)} surroundings, {wrong} with other bytes")
    if tried == 0 or wrong:
        sys.exit(1)


main()
