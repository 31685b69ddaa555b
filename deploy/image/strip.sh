#!/bin/sh
# The last step of the image: takes pip out of the Python that PYTHON is, as nothing is installed from here on.
# Usage: strip.sh PYTHON
set -eu
python=$1

prefix=$("$python" -c 'import sys; print(sys.prefix)')
library=$("$python" -c 'import sys; print(f"{sys.prefix}/lib/python{sys.version_info[0]}.{sys.version_info[1]}")')
"$python" -m pip uninstall --quiet --yes --root-user-action ignore setuptools wheel
rm -rf "$library"/site-packages/pip "$library"/site-packages/pip-*.dist-info "$library/ensurepip"
rm -f "$prefix"/bin/pip "$prefix"/bin/pip3*
