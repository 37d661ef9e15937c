#!/usr/bin/env bash
# Makes sure that the programs the tests need are there: root installs what is
# missing from Debian's packages, anyone else is told what to install.
#
# RabbitMQ and PostgreSQL may be started on their standard ports by the
# installation; the tests never touch those.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/common.sh"

missing=()
need() { # PACKAGE TEST...
    local package=$1
    shift
    "$@" >/dev/null 2>&1 || missing+=("$package")
}
has() { command -v "$1"; }

need build-essential has cc
need rabbitmq-server test -x /usr/lib/rabbitmq/bin/rabbitmq-server
need postgresql sh -c 'ls /usr/lib/postgresql/*/bin/initdb'
need chromium has chromium
need poppler-utils has pdftotext
need qpdf has qpdf
need faketime has faketime
need openssl has openssl
need procps has ps
need util-linux has setpriv
need python3-venv python3 -c 'import venv, ensurepip'

[ ${#missing[@]} -gt 0 ] || exit 0
if [ "$(id -u)" != 0 ]; then
    die "missing programs; as root: apt-get install ${missing[*]}"
fi
say "installing ${missing[*]}"
export DEBIAN_FRONTEND=noninteractive
apt-get update -q >&2
apt-get install -q -y --no-install-recommends "${missing[@]}" >&2
