#!/bin/sh
# Stamps the version into what is served: files cannot read an environment.
set -eu
version=$(cat version.txt)
mkdir -p dist
sed "s/@VERSION@/$version/" index.html > dist/index.html
echo "site version=$version" > dist/asset.txt
echo "built version $version"
