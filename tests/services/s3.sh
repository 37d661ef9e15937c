#!/usr/bin/env bash
# Prints the path of s3s-fs, a server that speaks S3 and keeps its objects as
# files, built into FOLDER. Each test starts one of its own (s3.rs): that takes
# milliseconds, and it may then be killed.
#
# Why this one: it is another author's code, checks AWS's signatures (version 4),
# knows Range, If-None-Match, multipart and S3's error codes, needs no root, no
# network and no other program, and comes from the registry that the rest comes
# from. A cold build takes some 100 seconds of one core, beside the start of the
# other services; a warm one nothing. Not taken: moto and s3rver check no
# signatures, Debian's rclone is older than its S3 server, and MinIO, Garage and
# SeaweedFS are in no registry we build from.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/common.sh"

version=0.14.1
folder=$(mkdir -p "${1:?folder}" && cd "$1" && pwd)
program=$folder/s3s-fs-$version
if [ ! -x "$program" ]; then
    scratch=$(mktemp -d "$folder/s3s-fs.XXXXXX")
    trap 'rm -rf "$scratch"' EXIT
    say "building s3s-fs $version"
    # Its own lock file, without our flags; optimised it would build for minutes.
    (cd "$scratch" && env -u RUSTFLAGS CARGO_TARGET_DIR="$scratch/target" \
        CARGO_PROFILE_DEV_DEBUG=0 CARGO_INCREMENTAL=0 \
        cargo install --quiet --locked --debug --root "$scratch" --features binary \
        "s3s-fs@$version" >&2) ||
        die "cannot build s3s-fs $version"
    mv "$scratch/bin/s3s-fs" "$program"
fi
echo "$program"
