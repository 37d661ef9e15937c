# Shared by the scripts beside it; sourced, never run.

say() { printf '%s\n' "$*" >&2; }
die() { say "error: $*"; exit 1; }

# Prints a random port below the ephemeral range such that it and the next
# COUNT - 1 ports are free on the loopback.
free_ports() {
    local count=$1 base port try
    for try in $(seq 1 50); do
        base=$((20000 + (RANDOM * 32768 + RANDOM) % 12000))
        for port in $(seq "$base" $((base + count - 1))); do
            if (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then continue 2; fi
        done
        echo "$base"
        return
    done
    die "no $count free ports in a row after $try tries"
}

# Waits until the process PID is gone, at most SECONDS_MAX.
gone() {
    local pid=$1 tenths=$(($2 * 10))
    while kill -0 "$pid" 2>/dev/null; do
        tenths=$((tenths - 1))
        [ "$tenths" -gt 0 ] || return 1
        sleep 0.1
    done
}
