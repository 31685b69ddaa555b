#!/bin/sh
# The second step of the image: makes PREFIX, a virtual environment that holds the wheel in FOLDER and what is locked,
# and neither pip nor anything that compiles.
# Usage: install.sh FOLDER PREFIX
set -eu
folder=$1
prefix=$2
here=$(dirname "$0")

python3 -m venv --without-pip "$prefix"
# Only wheels, and only those whose hashes are in the lock: no code of a package runs while it is installed.
python3 -m pip --python "$prefix/bin/python" install --quiet --no-cache-dir \
    --require-hashes --only-binary :all: --no-deps --requirement "$here/requirements.lock"
python3 -m pip --python "$prefix/bin/python" install --quiet --no-cache-dir --no-deps --no-index "$folder"/*.whl
python3 -m pip --python "$prefix/bin/python" check
cp "$here/healthy.py" "$prefix/healthy.py"
chmod -R go-w "$prefix"
