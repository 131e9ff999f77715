#!/bin/sh
# Makes the virtual environment and installs exactly what a requirements file pins.
#
#   tools/setup.sh .venv requirements/dev.txt
#
# PYTHON names another interpreter. A half-made environment is mended by running it again.
set -eu
venv=$1
pins=$2

fits() {
    "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null
}

find_python() {
    for candidate in ${PYTHON:-python3.11 python3.12 python3.13 python3.14 python3 python}; do
        if fits "$candidate"; then
            command -v "$candidate"
            return
        fi
    done
    echo "Python 3.11 or newer is missing: install it with \`apt-get install -y python3 python3-venv\` (or \`brew install python@3.12\`)." >&2
    return 1
}

if ! fits "$venv/bin/python" || ! "$venv/bin/python" -m pip --version >/dev/null 2>&1; then
    python=$(find_python)
    echo "setup: virtual environment $venv with $("$python" --version)"
    if ! said=$("$python" -m venv --clear "$venv" 2>&1); then
        echo "Python cannot make a virtual environment: install its part for that with \`apt-get install -y python3-venv\`." >&2
        echo "$said" >&2
        exit 1
    fi
fi
echo "setup: dependencies of $pins, each held to its hash (a minute on a fresh machine)"
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check --require-hashes --requirement "$pins"
