#!/usr/bin/env python3
"""The recipient's pages beside nginx, on one machine in one run, over TLS.

    tests/with-services benches/peers/gateway.py             5 s of each
    tests/with-services benches/peers/gateway.py --seconds 2 --json
    tests/with-services benches/peers/gateway.py --idle 10000     needs 24,000 open files

A release build of `kakitome serve` (gateway on PostgreSQL, TLS of its own) and an
nginx with `secure_link` serve the same PDF of 64 KiB to `wrk`, which keeps its
connections. nginx has one worker, no log and the file in the system's cache; we
authenticate and open a sealed file, put the access on record and commit before
the first byte. What counts is CPU time, user and system, of the server's process
for a request; the database's processes are shown apart. The better of two rounds.

Needs nginx (with secure_link), wrk and openssl: apt-get install nginx-light wrk.
"""

import argparse
import base64
import contextlib
import hashlib
import json
import os
import pathlib
import re
import shutil
import socket
import ssl
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request

TOP = pathlib.Path(__file__).resolve().parents[2]
PDF_BYTES = 64 << 10
TICK = os.sysconf("SC_CLK_TCK")
CONNECTIONS = 16
ROUNDS = 2


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for(what, seconds=60):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = what()
        if found:
            return found
        time.sleep(0.05)
    sys.exit("it does not start")


def is_open(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def cpu(pids):
    """CPU seconds, user and system, of processes."""
    ticks = 0
    for pid in pids:
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            ticks += int(fields[11]) + int(fields[12]) + int(fields[13]) + int(fields[14])
    return ticks / TICK


def children(pid):
    """A process and all below it."""
    found = [pid]
    for other in pathlib.Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            text = other.read_text()
            if int(text.rpartition(")")[2].split()[1]) == pid:
                found += children(int(text.split()[0]))
    return found


def resident(pid):
    text = pathlib.Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+)", text).group(1)) / 1024


def finished_pdf(folder):
    """A PDF of PDF_BYTES: a page and a stream of noise beside it."""
    plain = folder / "plain.pdf"
    noise = os.urandom(PDF_BYTES)
    for trim in range(2_000):
        body = noise[: PDF_BYTES - 600 - trim]
        objects = [
            b"<</Type/Catalog/Pages 2 0 R>>",
            b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
            b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]/PieceInfo<</K<</LastModified(D:2026)"
            b"/Private 4 0 R>>>>>>",
            b"<</Length %d>>stream\n%s\nendstream" % (len(body), body),
        ]
        out, offsets = b"%PDF-1.7\n", []
        for number, text in enumerate(objects, 1):
            offsets.append(len(out))
            out += b"%d 0 obj\n%s\nendobj\n" % (number, text)
        at = len(out)
        out += b"xref\n0 5\n0000000000 65535 f \n"
        out += b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
        out += b"trailer\n<</Size 5/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF\n" % at
        if len(out) <= PDF_BYTES:
            break
    plain.write_bytes(out + b"%" * (PDF_BYTES - len(out)))
    return plain


def secret(path, text):
    path.write_text(text)
    path.chmod(0o400)
    return path


def database(server, name):
    subprocess.run(["psql", f"{server}/postgres", "-qc", f"CREATE DATABASE {name}"], check=True)
    return f"{server}/{name}"


def certificate(folder):
    chain, key = folder / "chain.pem", folder / "key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
         "-nodes", "-keyout", key, "-out", chain, "-days", "2", "-subj", "/CN=localhost",
         "-addext", "subjectAltName=DNS:localhost"],
        check=True, stderr=subprocess.DEVNULL,
    )
    key.chmod(0o400)
    return chain, key


def office(folder, chain, key, stack):
    """A running office, its gateway's address and the link of one delivery."""
    relay_file = folder / "mails"
    relay = subprocess.Popen(
        [os.environ["KAKITOME_TEST_PYTHON"], TOP / "tests/services/relay.py", relay_file]
    )
    stack.callback(relay.kill)
    port = wait_for(lambda: (folder / "mails.port").exists() and (folder / "mails.port").read_text())
    gateway, api, operations = free_port(), free_port(), free_port()
    suffix = os.getpid()
    books = database(os.environ["KAKITOME_TEST_POSTGRES"], f"bench_gateway_{suffix}")
    keys = database(os.environ["KAKITOME_TEST_KEYS_POSTGRES"], f"bench_gateway_keys_{suffix}")
    token = secret(folder / "token", base64.b64encode(os.urandom(32)).decode())
    config = folder / "kakitome.toml"
    config.write_text(f"""
[office]
public_url = "https://localhost:{gateway}"
state_dir = "{folder}/state"
log_format = "text"
[listen]
gateway = "127.0.0.1:{gateway}"
api = "127.0.0.1:{api}"
operations = "127.0.0.1:{operations}"
certificate = "{chain}"
private_key = "{key}"
[database]
url = "{books}"
[keys]
url = "{keys}"
master = "{folder}/master.key"
[blobs]
dir = "{folder}/blobs"
[mail]
relay = "127.0.0.1"
port = {port}
tls = "none"
from = "noreply@example.jp"
bounce_domain = "bounce.example.jp"
[tenants.acme]
name = "株式会社青葉商事"
token = "{token}"
""")
    program = TOP / "target/release/kakitome"
    at = ["--config", config]
    for words in (["keys", "init"], ["migrate"]):
        subprocess.run([program, *words, *at], check=True, stdout=subprocess.DEVNULL)
    log = open(folder / "office.log", "w", encoding="utf-8")
    running = subprocess.Popen([program, "serve", *at], stdout=log, stderr=log)
    stack.callback(running.kill)
    wait_for(lambda: is_open(gateway) and is_open(api))
    pdf = finished_pdf(folder)
    job = {
        "key": "bench", "tenant": "acme", "channel": "email",
        "document": {"pdf": {"base64": base64.b64encode(pdf.read_bytes()).decode()},
                     "filename": "bench.pdf"},
        "recipient": {"name": "株式会社桔梗製作所", "email": "a@example.jp"},
        "link": {"max_opens": 1000},
    }
    context = ssl.create_default_context(cafile=chain)
    request = urllib.request.Request(
        f"https://localhost:{api}/v1/jobs", json.dumps(job).encode(),
        {"Authorization": f"Bearer {token.read_text()}", "Content-Type": "application/json"},
    )
    urllib.request.urlopen(request, context=context).read()
    link = wait_for(lambda: relay_file.read_text() and json.loads(relay_file.read_text())["link"])
    return running.pid, link, opened(link, context), pdf, (gateway, api)


class NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_):
        return None


def opened(link, context):
    """The address of the document, after the button."""
    page = urllib.request.urlopen(link, context=context).read().decode()
    fields = dict(re.findall(r'name="(token|nonce|lang)" value="([^"]*)"', page))
    origin = "{0.scheme}://{0.netloc}".format(urllib.parse.urlsplit(link))
    request = urllib.request.Request(
        f"{origin}/o", urllib.parse.urlencode(fields).encode(), {"Origin": origin}
    )
    opener = urllib.request.build_opener(
        NoRedirect(), urllib.request.HTTPSHandler(context=context)
    )
    try:
        opener.open(request)
    except urllib.error.HTTPError as answer:
        place = answer.headers["Location"].partition("?")[0]
        return f"{origin}{place}/file"
    sys.exit("the button did nothing")


def nginx(folder, chain, key, pdf, stack):
    port = free_port()
    root = folder / "www"
    root.mkdir()
    shutil.copy(pdf, root / "bench.pdf")
    open_key = folder / "nginx-key.pem"
    open_key.write_bytes(key.read_bytes())
    for path in (folder, root, root / "bench.pdf"):
        path.chmod(0o755)
    config = folder / "nginx.conf"
    config.write_text(f"""
worker_processes 1;
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/nginx.log;
events {{ worker_connections 2048; }}
http {{
  access_log off; sendfile on; tcp_nopush on; keepalive_requests 1000000;
  open_file_cache max=100;
  server {{
    listen 127.0.0.1:{port} ssl;
    ssl_certificate {chain}; ssl_certificate_key {open_key};
    ssl_protocols TLSv1.2 TLSv1.3;
    location / {{
      root {root};
      secure_link $arg_md5,$arg_expires;
      secure_link_md5 "$secure_link_expires$uri secret";
      if ($secure_link = "") {{ return 403; }}
      if ($secure_link = "0") {{ return 410; }}
    }}
  }}
}}
""")
    running = subprocess.Popen(["nginx", "-c", config], stderr=subprocess.DEVNULL)
    stack.callback(running.terminate)
    wait_for(lambda: is_open(port))
    expires = int(time.time()) + 3600
    digest = hashlib.md5(f"{expires}/bench.pdf secret".encode()).digest()
    md5 = base64.urlsafe_b64encode(digest).decode().rstrip("=")
    return running.pid, f"https://localhost:{port}/bench.pdf?md5={md5}&expires={expires}"


def load(url, pids, database_pids, seconds):
    """CPU microseconds a request of the server and of the database, and requests a second."""
    best = None
    for _ in range(ROUNDS):
        before = cpu(pids), cpu(database_pids)
        done = subprocess.run(
            ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", url],
            capture_output=True, text=True, check=True,
        )
        if "Non-2xx" in done.stdout:
            sys.exit(f"{url.partition('?')[0]} was not served:\n{done.stdout}")
        requests = int(re.search(r"(\d+) requests in", done.stdout).group(1))
        rate = float(re.search(r"Requests/sec:\s+([\d.]+)", done.stdout).group(1))
        own = (cpu(pids) - before[0]) / requests * 1e6
        books = (cpu(database_pids) - before[1]) / requests * 1e6
        if best is None or own < best["server"]:
            best = {"server": own, "database": books, "a_second": rate}
    return best


def idle(ports, pid, count):
    """Resident MiB before, with so many idle connections over TLS, and 10 s later.
    They take turns between two listeners: each has a quarter of the process's files."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    before, held = resident(pid), []
    for number in range(count):
        # From many addresses of loopback: one has its share and no more.
        source = f"127.{1 + number // 100 // 250}.{number // 100 % 250}.7"
        place = ("127.0.0.1", ports[number % len(ports)])
        raw = socket.create_connection(place, source_address=(source, 0))
        held.append(context.wrap_socket(raw, server_hostname="localhost"))
    with_them = resident(pid)
    time.sleep(10)
    return before, with_them, resident(pid), len(held)


def main():
    words = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    words.add_argument("--seconds", type=int, default=5)
    words.add_argument("--idle", type=int, default=1_000, help="idle connections")
    words.add_argument("--json", action="store_true")
    asked = words.parse_args()
    subprocess.run(["cargo", "build", "--release", "--locked", "--quiet"], cwd=TOP, check=True)
    figures = {}
    with contextlib.ExitStack() as stack:
        folder = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory()))
        chain, key = certificate(folder)
        pid, link, document, pdf, ports = office(folder, chain, key, stack)
        folders = [os.environ["KAKITOME_TEST_PG_DIR"], os.environ["KAKITOME_TEST_KEYS_PG_DIR"]]
        masters = [
            int((pathlib.Path(one) / "data/postmaster.pid").read_text().split()[0])
            for one in folders
        ]
        theirs, file = nginx(folder, chain, key, pdf, stack)
        books = [one for master in masters for one in children(master)]
        figures["nginx, 64 KiB"] = load(file, children(theirs), [], asked.seconds)
        figures["link page"] = load(link, [pid], books, asked.seconds)
        figures["64 KiB document"] = load(document, [pid], books, asked.seconds)
        before, after, later, held = idle(ports, pid, asked.idle)
        figures["idle"] = {
            "connections": held, "before_mib": before, "after_mib": after, "later_mib": later
        }
    if asked.json:
        print(json.dumps(figures))
        return
    for name, one in figures.items():
        if name == "idle":
            each = (one["after_mib"] - one["before_mib"]) * 1024 / max(1, one["connections"])
            print(f"{one['connections']} idle connections: {one['before_mib']:.0f} MiB before, "
                  f"{one['after_mib']:.0f} with them, {each:.1f} KiB each; "
                  f"{one['later_mib']:.0f} ten seconds later")
        else:
            print(f"{name:<18} {one['server']:>7.0f} us CPU of the server, "
                  f"{one['database']:>6.0f} of the database, {one['a_second']:>7.0f} a second")


main()
