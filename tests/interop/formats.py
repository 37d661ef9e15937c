#!/usr/bin/env python3
"""Recomputes every example of docs/FORMATS.md with other people's code.

Uses Python's hmac and hashlib, and the package `cryptography` (OpenSSL) for
AES-GCM-SIV, AES-GCM, HKDF and HPKE. `formats.py FILE` checks and fails on the
first difference; `formats.py FILE --fill` writes the answers in place of `?`.
"""

import base64
import hashlib
import hmac
import json
import re
import sys
import uuid

from cryptography.hazmat.primitives import hashes, hpke, serialization
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, AESGCMSIV
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id
from cryptography.hazmat.primitives.kdf.hkdf import HKDF, HKDFExpand


def parts(*items):
    return b"".join(len(item).to_bytes(8, "big") + item for item in items)


def mac(key, label, *items):
    return hmac.new(key, label + b"\0" + parts(*items), hashlib.sha256).digest()


def wrap(key, place, nonce, plain):
    return b"\x01" + nonce + AESGCMSIV(key).encrypt(nonce, plain, place)


def base64url(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def token(v):
    signed = v["key_id"] + v["day"] + v["random"]
    whole = signed + mac(v["tag_key"], b"kakitome link tag v1", signed)[:9]
    return {"text": base64url(whole), "print": mac(v["pepper"], b"kakitome link lookup v1", whole)}


def page(v):
    print_ = mac(v["key"], b"kakitome page v1", v["link"], v["minute"])[:16]
    return {"nonce": base64url(v["minute"] + print_)}


def passcode(v):
    peppered = mac(v["key"], b"kakitome passcode v1", v["job"], v["passcode"])
    slow = Argon2id(salt=v["salt"], length=32, iterations=2, lanes=1, memory_cost=19 * 1024)
    return {"verifier": f"v1${base64url(v['salt'])}${base64url(slow.derive(peppered))}"}
CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ*~$=U"


def digits(value, count):
    return "".join(CROCKFORD[value >> 5 * place & 31] for place in reversed(range(count)))


def number(v):
    job = int.from_bytes(v["job"], "big")
    value = ((job >> 80) // 1000 - 1_577_836_800) << 28 | job & (1 << 28) - 1
    text = digits(value, 12)
    groups = "-".join(text[at : at + 4] for at in (0, 4, 8))
    return {"number": f"KT-{groups}-{CROCKFORD[value % 37]}"}


def session(v):
    text = digits(int.from_bytes(v["event"][-5:], "big"), 8)
    return {"label": f"{text[:4]}-{text[4:]}"}


def stream(v):
    derived = HKDF(hashes.SHA256(), 32, v["salt"], v["aad"]).derive(v["key"])
    nonce = v["prefix"] + bytes(4) + b"\x01"
    body = AESGCM(derived).encrypt(nonce, v["plain"], None)
    return {"sealed": b"\x28" + v["salt"] + v["prefix"] + body}


def body(v):
    # RFC 9180, section 7.1.3.
    suite = b"KEM" + (0x20).to_bytes(2, "big")
    prk = hmac.new(b"", b"HPKE-v1" + suite + b"dkp_prk" + v["seed"], hashlib.sha256).digest()
    info = (32).to_bytes(2, "big") + b"HPKE-v1" + suite + b"sk"
    secret = X25519PrivateKey.from_private_bytes(HKDFExpand(hashes.SHA256(), 32, info).derive(prk))
    public = secret.public_key().public_bytes(
        serialization.Encoding.Raw, serialization.PublicFormat.Raw
    )
    ours = hpke.Suite(hpke.KEM.X25519, hpke.KDF.HKDF_SHA256, hpke.AEAD.AES_256_GCM)
    info = b"kakitome job v1\0" + v["tenant"]
    if v.get("sealed") is None:
        sealed = b"\x01" + ours.encrypt(v["plain"], secret.public_key(), info)
        return {"public": public, "sealed": sealed}
    if v["sealed"][:1] != b"\x01" or ours.decrypt(v["sealed"][1:], secret, info) != v["plain"]:
        raise SystemExit("body: does not open")
    # Every sealing differs; that it opens is the claim.
    return {"public": public, "sealed": v["sealed"]}


ANSWERS = {
    "mac": lambda v: {"mac": mac(v["key"], v["label"], v["part1"], v["part2"])},
    "dedupe": lambda v: {
        "print": mac(v["key"], b"kakitome dedupe v1", v["tenant"], v["job_key"])[:16]
    },
    "payload": lambda v: {"mac": mac(v["key"], b"kakitome payload v1", v["payload"])},
    "index": lambda v: {"print": mac(v["key"], b"kakitome index v1", v["field"], v["value"])[:16]},
    "commitment": lambda v: {
        "commitment": mac(v["salt"], b"kakitome commitment v1", v["name"], v["value"])
    },
    "verp": lambda v: {"tag": mac(v["key"], b"kakitome verp v1", v["job"])[:10]},
    "page": page,
    "code": lambda v: {"mac": mac(v["key"], b"kakitome code v1", v["link"], v["code"])},
    "passcode": passcode,
    "derive": lambda v: {"subkey": HKDFExpand(hashes.SHA256(), 32, v["label"]).derive(v["key"])},
    "token": token,
    "number": number,
    "session": session,
    "stream": stream,
    "column": lambda v: {
        "sealed": wrap(
            v["key"],
            parts(b"kakitome column v1", v["table"], v["column"], v["row"]),
            v["nonce"],
            v["plain"],
        )
    },
    "key": lambda v: {
        "wrapped": wrap(
            v["parent_key"],
            parts(
                b"kakitome key v1", v["kind"], v["tenant"], v["service"], v["number"], v["parent"]
            ),
            v["nonce"],
            v["plain"],
        )
    },
    "body": body,
    "segment": lambda v: {"header": b"kkseg\r\n\x01" + v["id"]},
}


def read(text):
    if text == "?":
        return None
    if text.startswith('"'):
        return json.loads(text).encode()
    return uuid.UUID(text).bytes if "-" in text else bytes.fromhex(text)


def write(value):
    return json.dumps(value) if isinstance(value, str) else value.hex()


def main():
    path, fill = sys.argv[1], "--fill" in sys.argv
    document = open(path, encoding="utf-8").read()
    seen = set()

    def vector(match):
        name, lines = match.group(1), match.group(2)
        values = dict(line.split(" = ", 1) for line in lines.splitlines())
        answers = ANSWERS[name]({key: read(text) for key, text in values.items()})
        for key, answer in answers.items():
            if fill and values[key] == "?":
                values[key] = write(answer)
            elif values[key] != write(answer):
                raise SystemExit(f"{name}: {key} differs")
        seen.add(name)
        return f"```vector {name}\n" + "".join(f"{k} = {t}\n" for k, t in values.items()) + "```"

    filled = re.sub(r"```vector (\w+)\n(.*?)```", vector, document, flags=re.S)
    if seen != set(ANSWERS):
        raise SystemExit(f"missing from the document: {sorted(set(ANSWERS) - seen)}")
    if fill:
        open(path, "w", encoding="utf-8").write(filled)
    print(f"{len(seen)} formats recomputed")


if __name__ == "__main__":
    main()
