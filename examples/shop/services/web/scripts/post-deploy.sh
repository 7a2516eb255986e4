#!/bin/sh
# Runs once the new release is healthy; when it fails, the release that served before comes back.
set -eu
echo "web serves version $(cat version.txt)"
