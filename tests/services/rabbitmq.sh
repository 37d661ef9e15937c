#!/usr/bin/env bash
# A private RabbitMQ that touches nothing outside its folder, as root or not.
#
#   rabbitmq.sh up DIR        start it (again, on the same port, with its data)
#   rabbitmq.sh down DIR      stop it in good order
#   rabbitmq.sh settle DIR    make queues that were just created survive a kill
#   rabbitmq.sh kill DIR      SIGKILL the broker, as a crash would
#   rabbitmq.sh ctl DIR ...   rabbitmqctl against it
#
# The port stands in DIR/port (AMQP), the next one speaks TLS under DIR/tls/ca.pem.
# Accounts, each with its name as password: guest (everything), worker (what an
# office needs and no more), and acme and globex (applications: publish jobs,
# read their own events).
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/common.sh"

server=/usr/lib/rabbitmq/bin/rabbitmq-server
action=${1:?up, down, settle, kill or ctl}
dir=$(mkdir -p "${2:?folder}" && cd "$2" && pwd)
shift 2

# The broker's own wrapper in /usr/sbin changes user and reads /etc; the inner
# script does neither once all of this is set.
settings() {
    local port
    port=$(cat "$dir/port")
    export HOME=$dir/home
    export RABBITMQ_CONF_ENV_FILE=$dir/none
    export RABBITMQ_NODENAME=kakitome$port@localhost
    export RABBITMQ_MNESIA_BASE=$dir/mnesia
    export RABBITMQ_LOG_BASE=$dir/log
    export RABBITMQ_CONFIG_FILE=$dir/conf/rabbitmq.conf
    export RABBITMQ_ADVANCED_CONFIG_FILE=$dir/none.config
    export RABBITMQ_ENABLED_PLUGINS_FILE=$dir/conf/enabled_plugins
    export RABBITMQ_PID_FILE=$dir/pid
    export RABBITMQ_DIST_PORT=$((port + 3))
    export RABBITMQ_CTL_DIST_PORT_MIN=$((port + 4))
    export RABBITMQ_CTL_DIST_PORT_MAX=$((port + 15))
    export ERL_EPMD_PORT=$((port + 2))
    export ERL_EPMD_ADDRESS=127.0.0.1
    export RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS='-kernel inet_dist_use_interface {127,0,0,1}'
    export RABBITMQ_CTL_ERL_ARGS='-kernel inet_dist_use_interface {127,0,0,1}'
}

certificates() {
    mkdir -p "$dir/tls"
    (
        cd "$dir/tls"
        exec >openssl.log 2>&1
        openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 \
            -subj '/CN=Kakitome test CA' -keyout ca.key -out ca.pem
        openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes \
            -subj '/CN=localhost' -keyout server.key -out server.csr
        printf 'subjectAltName = DNS:localhost, IP:127.0.0.1\n' >server.ext
        openssl x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 30 \
            -extfile server.ext -out server.pem
    )
}

# RabbitMQ keeps base64(salt . sha256(salt . password)); the salt is ours to choose.
password_hash() {
    { printf kkit; { printf kkit; printf '%s' "$1"; } | openssl dgst -sha256 -binary; } |
        openssl base64 -A
}

user() { # NAME TAGS
    printf '{"name": "%s", "password_hash": "%s", "hashing_algorithm": "rabbit_password_hashing_sha256", "tags": "%s"}' \
        "$1" "$(password_hash "$1")" "$2"
}

permission() { # NAME CONFIGURE WRITE READ
    printf '{"user": "%s", "vhost": "/", "configure": "%s", "write": "%s", "read": "%s"}' "$@"
}

application() { # NAME
    permission "$1" "^$1[.].*" "^(kakitome|$1[.].*)\$" "^(kakitome[.]events|$1[.].*)\$"
}

own_events() { # NAME
    printf '{"user": "%s", "vhost": "/", "exchange": "kakitome.events", "write": "^$", "read": "^delivery[.][^.]+[.]%s$"}' \
        "$1" "$1"
}

configure() {
    local port=$1
    mkdir -p "$dir"/{home,mnesia,log,conf}
    certificates
    cat >"$dir/conf/rabbitmq.conf" <<CONF
listeners.tcp.1 = 127.0.0.1:$port
listeners.ssl.1 = 127.0.0.1:$((port + 1))
ssl_options.cacertfile = $dir/tls/ca.pem
ssl_options.certfile = $dir/tls/server.pem
ssl_options.keyfile = $dir/tls/server.key
loopback_users = none
load_definitions = $dir/conf/definitions.json
log.file.level = warning
log.console = false
vm_memory_high_watermark.absolute = 512MB
disk_free_limit.absolute = 50MB
max_message_size = 4194304
CONF
    echo '[].' >"$dir/conf/enabled_plugins"
    cat >"$dir/conf/definitions.json" <<JSON
{
  "vhosts": [{"name": "/"}],
  "users": [$(user guest administrator), $(user worker ""), $(user acme ""), $(user globex "")],
  "permissions": [
    $(permission guest '.*' '.*' '.*'),
    $(permission worker '^$' '^kakitome[.](dead|events)$' '^kakitome[.]jobs$'),
    $(application acme),
    $(application globex)
  ],
  "topic_permissions": [$(own_events acme), $(own_events globex)]
}
JSON
    echo "$port" >"$dir/port"
}

answers() { # PORT: the broker greets an unknown protocol version with its own header or closes
    (
        exec 3<>"/dev/tcp/127.0.0.1/$1"
        printf 'AMQP\0\0\011\001' >&3
        timeout 1 head -c 1 <&3 | grep -q $'\001'
    ) 2>/dev/null
}

up() {
    [ -x "$server" ] || die "RabbitMQ is missing: apt-get install rabbitmq-server"
    [ -f "$dir/port" ] || configure "$(free_ports 16)"
    local port tries
    port=$(cat "$dir/port")
    settings
    if ! { [ -f "$dir/epmd.pid" ] && kill -0 "$(cat "$dir/epmd.pid")" 2>/dev/null; }; then
        setsid epmd -address 127.0.0.1 -port "$ERL_EPMD_PORT" \
            >"$dir/log/epmd.out" 2>&1 </dev/null &
        echo $! >"$dir/epmd.pid"
    fi
    # With these two set the script ends in exec: $! is the broker itself.
    RUNNING_UNDER_SYSTEMD=1 detached=1 setsid "$server" >"$dir/log/stdout" 2>&1 </dev/null &
    echo $! >"$dir/beam.pid"
    for tries in $(seq 1 600); do
        if ! kill -0 "$(cat "$dir/beam.pid")" 2>/dev/null; then
            tail -40 "$dir/log/stdout" >&2
            die "RabbitMQ ended while starting"
        fi
        if answers "$port"; then return; fi
        sleep 0.1
    done
    tail -40 "$dir/log/stdout" >&2
    die "RabbitMQ does not answer on port $port after $((tries / 10)) s"
}

down() {
    local pid
    if [ -f "$dir/beam.pid" ]; then
        pid=$(cat "$dir/beam.pid")
        kill -TERM "$pid" 2>/dev/null || true
        gone "$pid" 15 || kill -KILL "$pid" 2>/dev/null || true
        rm -f "$dir/beam.pid"
    fi
    if [ -f "$dir/epmd.pid" ]; then
        kill "$(cat "$dir/epmd.pid")" 2>/dev/null || true
        rm -f "$dir/epmd.pid"
    fi
}

control() {
    settings
    "${server%/*}/rabbitmqctl" --quiet "$@"
}

case $action in
up) up ;;
down) down ;;
kill)
    kill -KILL "$(cat "$dir/beam.pid")"
    gone "$(cat "$dir/beam.pid")" 10
    ;;
settle)
    # The registry of quorum queues is written lazily: one created less than a
    # second before a SIGKILL comes back without a leader, and empty.
    control eval '[ok = dets:sync(T) || T <- dets:all()].' >/dev/null
    ;;
ctl) control "$@" ;;
*) die "unknown action $action" ;;
esac
