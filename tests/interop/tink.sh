#!/usr/bin/env bash
# Strangers check our formats: Google's Tink opens our sealed files and we open
# Tink's; Python's `cryptography` recomputes the examples of docs/FORMATS.md.
# Needs python3 with venv and, the first time, the network.
set -euo pipefail
cd "$(dirname "$0")/../.."
target=${CARGO_TARGET_DIR:-target}
venv=$target/interop/venv
work=$target/tmp/interop

if ! "$venv/bin/python" -c 'import tink, cryptography' 2>/dev/null; then
    python3 -m venv "$venv"
    "$venv/bin/pip" install --quiet tink==1.16.1 cryptography==50.0.2
fi

"$venv/bin/python" tests/interop/formats.py docs/FORMATS.md
rm -rf "$work"
"$venv/bin/python" tests/interop/tink_peer.py make "$work/tink"
cargo test --quiet --test interop_tink
"$venv/bin/python" tests/interop/tink_peer.py check "$work/ours"
