"""The bundled templates through the program, and other people's readers.

KAKITOME_BIN is the program.
"""

import json
import os
import pathlib
import subprocess

TOP = pathlib.Path(__file__).resolve().parents[3]
TEMPLATES = TOP / "templates" / "documents"
LOCALES = ("ja", "en")


def program():
    # Whoever changes the folder still finds it.
    return str(pathlib.Path(os.environ["KAKITOME_BIN"]).resolve())


def run(*command, **more):
    done = subprocess.run(command, capture_output=True, check=False, **more)
    if done.returncode != 0:
        words = done.stderr.decode(errors="replace").strip()
        raise RuntimeError(f"{command[0]} ended with {done.returncode}: {words}")
    return done.stdout


def documents():
    """(template, sample's file, language) of everything that is bundled."""
    listed = json.loads(run(program(), "templates", "list", "--json"))["templates"]
    for template in listed:
        name = template["name"]
        samples = sorted((TEMPLATES / name).glob("sample*.json"))
        if not samples:
            raise RuntimeError(f"{name} has no sample")
        for sample in samples:
            for locale in LOCALES:
                yield name, sample, locale


def label(name, sample, locale):
    """Such as `invoice.sample.en.ja`: template, sample, language."""
    return f"{name}.{sample.name.removesuffix('.json')}.{locale}"


def render(name, sample, locale, pdf=None, html=None):
    command = [program(), "render", "-t", name, "-d", str(sample), "--locale", locale]
    if pdf:
        command += ["-o", str(pdf)]
    if html:
        command += ["--html", str(html)]
    run(*command)
