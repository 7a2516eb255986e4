#!/bin/sh
# Runs in the new release before the switch; when it fails, the old release goes on serving.
set -eu
node --check index.js
