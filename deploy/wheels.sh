#!/bin/sh
# Fetches and builds the wheels that the image installs, for the Python and the processor of BASE.
#   deploy/wheels.sh BASE [PYTHON]
set -eu
base=${1:?usage: deploy/wheels.sh BASE [PYTHON]}
python=${2:-python3}
cd "$(dirname "$0")/.."
version=$(docker run --rm --entrypoint python3 "$base" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
machine=$(docker run --rm --entrypoint python3 "$base" -c 'import platform; print(platform.machine())')
rm -rf build/wheels
mkdir -p build/wheels
"$python" -m pip wheel --quiet --no-deps --wheel-dir build/wheels .
"$python" -m pip download --quiet --dest build/wheels --only-binary=:all: \
  --python-version "$version" --implementation cp \
  --platform "manylinux_2_28_$machine" --platform "manylinux2014_$machine" \
  --constraint constraints.txt --find-links build/wheels 'coord[server]'
