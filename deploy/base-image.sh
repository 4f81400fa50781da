#!/bin/sh
# Makes a base image out of Debian's packages, for machines that cannot pull one. As root.
#   deploy/base-image.sh [NAME [SUITE [PACKAGES]]]
# The demo's HAProxy: deploy/base-image.sh coord-haproxy:bookworm bookworm haproxy
set -eu
name=${1:-coord-base:bookworm}
suite=${2:-bookworm}
packages=${3:-python3,python3-venv,ca-certificates}
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
debootstrap --variant=minbase --include="$packages" "$suite" "$root" >&2
rm -rf "$root"/var/cache/apt/archives/*.deb "$root"/var/lib/apt/lists/*
tar --directory "$root" --create . | docker import - "$name"
