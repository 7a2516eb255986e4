#!/bin/sh
# All tests, in three parts side by side: two on practice hosts, each in a lab of its own, which mostly wait,
# and one without. What the last one says is shown as it comes, what the others say when they have ended.
set -u
lab=${QUORACY_TEST_LAB:-test}
# About half of what runs on practice hosts; the scenarios and whatever is added are the other half.
some="tests/bad_input tests/cli tests/flows tests/lab tests/services"
others=
for path in $some; do others="$others --ignore=$path"; done
said=$(mktemp -d)
trap 'rm -rf "$said"' EXIT

on_hosts() {
    # shellcheck disable=SC2086  # several arguments
    QUORACY_TEST_LAB=$1 .venv/bin/python -m pytest -m lab --durations=15 $2 > "$said/$1" 2>&1
}
on_hosts "$lab" "$others" &
first=$!
on_hosts "some-$lab" "$some" &
second=$!
# Members of a cluster wait for each other's answers, and fall behind without the processor; nothing here does.
nice -n 5 .venv/bin/python -m pytest -m "not lab" --durations=10
failed=$?
wait "$second" || failed=1
cat "$said/some-$lab"
wait "$first" || failed=1
cat "$said/$lab"
exit "$failed"
