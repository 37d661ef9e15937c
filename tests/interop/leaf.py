"""Makes the examples of docs/LOG-FORMAT.md with an independent CBOR library.

    pip install cbor2 && python3 tests/interop/leaf.py

Exits with 1 and the difference when the document disagrees.
"""

import pathlib
import re
import sys

import cbor2

EVENT = "019da0f12f4070008000000000000{}"
AT = 1_795_262_400_123_456

SMALLEST = {
    0: 1,
    1: "clock_held",
    2: AT,
    3: "acme",
    4: bytes.fromhex(EVENT.format("001")),
    6: "retention",
}
FULL = {
    0: 1,
    1: "opened",
    2: AT,
    3: "acme",
    4: bytes.fromhex(EVENT.format("002")),
    5: bytes.fromhex(EVENT.format("0aa")),
    6: "recipient",
    7: "second_factor",
    8: {"opens": 1, "via": "link", "offset_minutes": -540, "segment": b"\xab" * 16},
    9: {"ip": b"\x11" * 32, "user_agent": b"\x22" * 32},
    10: b"\x33" * 32,
}

root = pathlib.Path(__file__).resolve().parents[2]
text = (root / "docs/LOG-FORMAT.md").read_text()
documented = [
    bytes.fromhex(block.replace("\n", "")) for block in re.findall(r"```hex\n(.*?)```", text, re.S)
]
failed = len(documented) != 2
for leaf, expected in zip([SMALLEST, FULL], documented):
    made = cbor2.dumps(leaf, canonical=True)
    if made != expected or cbor2.loads(expected) != leaf:
        print("made      ", made.hex(), "\ndocumented", expected.hex())
        failed = True
print("leaves differ" if failed else "leaves agree")
sys.exit(failed)
