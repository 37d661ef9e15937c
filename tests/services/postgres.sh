#!/usr/bin/env bash
# A private PostgreSQL cluster that touches nothing outside its folder, as root
# (then it runs as `postgres` or `nobody`) or as any other user.
#
#   postgres.sh up DIR      start it (again, on the same port, with its data)
#   postgres.sh down DIR    stop it in good order
#   postgres.sh kill DIR    SIGKILL it, as a crash would
#
# The port stands in DIR/port; the superuser is `kakitome`, without password.
# Tests make their own databases.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/common.sh"

action=${1:?up, down or kill}
dir=$(mkdir -p "${2:?folder}" && cd "$2" && pwd)
programs=$(find /usr/lib/postgresql -maxdepth 2 -name bin 2>/dev/null | sort -V | tail -n 1)

# initdb refuses root, so root hands over to an unprivileged user, which must
# be able to walk to the folder.
as=()
if [ "$(id -u)" = 0 ]; then
    account=$(id -un postgres 2>/dev/null || echo nobody)
    as=(setpriv --reuid="$account" --regid="$(id -g "$account")" --clear-groups --inh-caps=-all --)
fi
run() { (cd / && "${as[@]}" env -u PGHOST -u PGPORT HOME="$dir" LC_ALL=C.UTF-8 "$@"); }

create() {
    [ "$(id -u)" != 0 ] || { chown "$account" "$dir" && chmod 700 "$dir"; }
    run "$programs/initdb" -D "$dir/data" -U kakitome --auth=trust -E UTF8 --locale=C.UTF-8 -N \
        >/dev/null
    # fsync stays on: the tests kill this server and look at what is left.
    run tee -a "$dir/data/postgresql.conf" >/dev/null <<CONF
listen_addresses = '127.0.0.1'
port = $1
unix_socket_directories = '$dir'
shared_buffers = ${KAKITOME_TEST_PG_BUFFERS:-64MB}
max_connections = 200
wal_compression = lz4
max_wal_size = 512MB
logging_collector = off
CONF
    printf '%s\n' "$1" | run tee "$dir/port" >/dev/null
}

up() {
    [ -n "$programs" ] || die "PostgreSQL is missing: apt-get install postgresql"
    [ -f "$dir/port" ] || create "$(free_ports 1)"
    run "$programs/pg_ctl" -D "$dir/data" -l "$dir/log" -w -t 60 start >/dev/null ||
        { tail -20 "$dir/log" >&2; die "PostgreSQL did not start"; }
}

postmaster() { head -n 1 "$dir/data/postmaster.pid" 2>/dev/null || true; }

down() {
    local pid
    pid=$(postmaster)
    [ -n "$pid" ] || return 0
    kill -INT "$pid" 2>/dev/null || true
    gone "$pid" 20 || kill -KILL "$pid" 2>/dev/null || true
}

crash() {
    local pid group
    pid=$(postmaster)
    # The backends are in the postmaster's session, not its children only.
    group=$(ps -o pid= --ppid "$pid" || true)
    # shellcheck disable=SC2086
    kill -KILL "$pid" $group 2>/dev/null || true
    gone "$pid" 10
    rm -f "$dir/data/postmaster.pid"
}

case $action in
up) up ;;
down) down ;;
kill) crash ;;
*) die "unknown action $action" ;;
esac
