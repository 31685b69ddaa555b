#!/bin/sh
# The first step of the image: builds the wheel of SOURCE into FOLDER, with build tools whose hashes are known.
# Usage: wheel.sh SOURCE FOLDER
set -eu
source=$1
folder=$2
here=$(dirname "$0")

tools=$(mktemp -d)
trap 'rm -rf "$tools"' EXIT
python3 -m venv "$tools"
"$tools/bin/python" -m pip install --quiet --require-hashes --only-binary :all: --requirement "$here/build.lock"
"$tools/bin/python" -m pip wheel --quiet --no-deps --no-build-isolation --no-index --wheel-dir "$folder" "$source"
