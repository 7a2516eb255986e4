#!/bin/sh
# All tests, in two halves side by side: those on practice hosts mostly wait. What the first half says is
# shown as it comes, what the other one says when it has ended.
set -u
said=$(mktemp)
trap 'rm -f "$said"' EXIT
.venv/bin/python -m pytest -m lab --durations=15 > "$said" 2>&1 &
lab=$!
.venv/bin/python -m pytest -m "not lab" --durations=10
rest=$?
wait "$lab"
lab=$?
cat "$said"
[ "$lab" -eq 0 ] && [ "$rest" -eq 0 ]
