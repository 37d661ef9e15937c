#!/usr/bin/env python3
"""Google's Tink on the other side of our sealed files.

`tink_peer.py make FOLDER` seals files with Tink, for us to open.
`tink_peer.py check FOLDER` opens with Tink what we sealed, and makes sure that
Tink refuses the same files when they are spoiled.

A file NAME.sealed is described by NAME.json: key, aad, length of the plain
file, whose bytes are given by `document`.
"""

import io
import json
import pathlib
import random
import sys

import tink
from tink import secret_key_access, streaming_aead
from tink.proto import aes_gcm_hkdf_streaming_pb2, common_pb2, tink_pb2

LENGTHS = [0, 1, 15, 65_479, 65_480, 65_481, 131_000, 131_001, 200_000, 1_000_000]


def document(length):
    return bytes(
        ((at * 0x9E3779B97F4A7C15) & 0xFFFFFFFFFFFFFFFF) >> 56 for at in range(length)
    )


def primitive(key):
    params = aes_gcm_hkdf_streaming_pb2.AesGcmHkdfStreamingParams(
        ciphertext_segment_size=65536, derived_key_size=32, hkdf_hash_type=common_pb2.SHA256
    )
    value = aes_gcm_hkdf_streaming_pb2.AesGcmHkdfStreamingKey(params=params, key_value=key)
    data = tink_pb2.KeyData(
        type_url="type.googleapis.com/google.crypto.tink.AesGcmHkdfStreamingKey",
        value=value.SerializeToString(),
        key_material_type=tink_pb2.KeyData.SYMMETRIC,
    )
    entry = tink_pb2.Keyset.Key(
        key_data=data, status=tink_pb2.ENABLED, key_id=1, output_prefix_type=tink_pb2.RAW
    )
    keyset = tink_pb2.Keyset(primary_key_id=1, key=[entry])
    handle = tink.proto_keyset_format.parse(keyset.SerializeToString(), secret_key_access.TOKEN)
    return handle.primitive(streaming_aead.StreamingAead)


class Kept(io.BytesIO):
    """A buffer that survives being closed by the stream that writes to it."""

    def close(self):
        pass


def make(folder, lengths=LENGTHS):
    folder.mkdir(parents=True, exist_ok=True)
    chance = random.Random(2026)
    for length in lengths:
        key, aad = chance.randbytes(32), b"tink/" + str(length).encode()
        sealed = Kept()
        with primitive(key).new_encrypting_stream(sealed, aad) as stream:
            stream.write(document(length))
        (folder / f"{length}.sealed").write_bytes(sealed.getvalue())
        about = {"key": key.hex(), "aad": aad.hex(), "length": length}
        (folder / f"{length}.json").write_text(json.dumps(about) + "\n")
    print(f"{len(lengths)} files sealed by Tink")


def opened(key, aad, sealed):
    with primitive(key).new_decrypting_stream(io.BytesIO(sealed), aad) as stream:
        return stream.read()


def refused(key, aad, sealed):
    try:
        opened(key, aad, sealed)
    except Exception:
        return True
    return False


def check(folder):
    files = refusals = 0
    for path in sorted(folder.glob("*.json")):
        about = json.loads(path.read_text())
        key, aad = bytes.fromhex(about["key"]), bytes.fromhex(about["aad"])
        sealed, plain = path.with_suffix(".sealed").read_bytes(), document(about["length"])
        assert opened(key, aad, sealed) == plain, f"{path.stem}: Tink reads something else"
        files += 1

        last = len(sealed) - 1
        middle = min(70_000, last)
        for at in {0, 1, 32, 33, 39, 40, last - 16, last, middle}:
            spoiled = bytearray(sealed)
            spoiled[at] ^= 1
            assert refused(key, aad, bytes(spoiled)), f"{path.stem}: byte {at} changed"
            refusals += 1
        for cut in {0, 39, 40, 55, last, max(last - 16, 0), 65_536, 131_072}:
            if cut <= last:
                assert refused(key, aad, sealed[:cut]), f"{path.stem}: cut to {cut}"
                refusals += 1
        assert refused(key, aad + b"!", sealed), f"{path.stem}: another place"
        assert refused(bytes(32), aad, sealed), f"{path.stem}: another key"
        refusals += 2
    assert files > 0, "nothing to check"
    print(f"{files} files of ours opened by Tink, {refusals} spoiled ones refused")


if __name__ == "__main__":
    action, folder = sys.argv[1], pathlib.Path(sys.argv[2])
    streaming_aead.register()
    if action == "make":
        make(folder, [int(length) for length in sys.argv[3:]] or LENGTHS)
    else:
        check(folder)
