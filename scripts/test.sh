#!/bin/sh
# All tests; those that need no practice hosts first, as they say sooner what is wrong. Not side by side:
# the others watch the processes of the whole machine.
set -u
.venv/bin/python -m pytest -m "not lab" --durations=10
rest=$?
.venv/bin/python -m pytest -m lab --durations=15
lab=$?
[ $lab -eq 0 ] && [ $rest -eq 0 ]
