#!/usr/bin/env bash
# Prints the path of a Python that has the packages of requirements.txt and
# requirements-alone.txt, in a virtual environment at FOLDER.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/common.sh"

folder=${1:?folder}
wanted=$here/requirements.txt
alone=$here/requirements-alone.txt
if ! cat "$wanted" "$alone" | cmp -s - "$folder/installed.txt"; then
    python3 -m venv --clear "$folder" ||
        die "python3 cannot make virtual environments: apt-get install python3-venv"
    "$folder/bin/python" -m pip install --quiet --disable-pip-version-check -r "$wanted" >&2
    "$folder/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps \
        -r "$alone" >&2
    cat "$wanted" "$alone" >"$folder/installed.txt"
fi
echo "$(cd "$folder" && pwd)/bin/python"
