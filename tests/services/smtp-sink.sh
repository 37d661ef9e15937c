#!/usr/bin/env bash
# Prints the path of a program that runs Postfix's smtp-sink, an SMTP server
# that accepts and forgets, unpacked into FOLDER without installing Postfix
# (whose installation would start a mail server).
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/common.sh"

folder=$(mkdir -p "${1:?folder}" && cd "$1" && pwd)
program=$folder/smtp-sink
if [ ! -x "$program" ]; then
    scratch=$(mktemp -d "$folder/unpack.XXXXXX")
    trap 'rm -rf "$scratch"' EXIT
    (cd "$scratch" && apt-get download postfix >apt.log 2>&1) ||
        { cat "$scratch/apt.log" >&2; die "cannot fetch Postfix: apt-get update, then again"; }
    dpkg-deb -x "$scratch"/postfix_*.deb "$scratch/tree"
    rm -rf "$folder/postfix"
    mv "$scratch/tree" "$folder/postfix"
    cat >"$program.new" <<SCRIPT
#!/bin/sh
LD_LIBRARY_PATH='$folder/postfix/usr/lib/postfix' exec '$folder/postfix/usr/sbin/smtp-sink' "\$@"
SCRIPT
    chmod +x "$program.new"
    mv "$program.new" "$program"
fi
echo "$program"
