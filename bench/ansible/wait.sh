#!/bin/sh
# Wait until the member serves and has caught up: three linearizable reads in a row, the last of them
# the window after the process started, its applied index at or past the leader's at the first look.
# Arguments: own endpoint, all endpoints, unit, window in milliseconds. ETCDCTL: call with certificates.
own=$1 all=$2 unit=$3 window=$4
highest() { sed -n "s/^\"$1\" : //p" | sort -n | tail -n 1; }
age_ms() {
    started=$(systemctl show -P ExecMainStartTimestampMonotonic "$unit")
    read -r up _ < /proc/uptime
    echo $((${up%.*} * 1000 + ${up#*.}0 - started / 1000))
}

target=$($ETCDCTL --endpoints="$all" endpoint status -w fields | highest RaftIndex)
reads=0 tries=0
while [ $tries -lt 600 ]; do
    tries=$((tries + 1))
    if $ETCDCTL --endpoints="$own" endpoint health >/dev/null 2>&1; then
        reads=$((reads + 1))
    else
        reads=0
    fi
    if [ $reads -ge 3 ] && [ "$(age_ms)" -ge "$window" ]; then
        applied=$($ETCDCTL --endpoints="$own" endpoint status -w fields | highest RaftAppliedIndex)
        [ "$applied" -ge "$target" ] && exit 0
    fi
    sleep 0.1
done
echo "not healthy and caught up after $tries tries" >&2
exit 1
