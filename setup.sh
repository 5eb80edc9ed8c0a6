#!/usr/bin/env bash
# Sets up what `make` needs, one step by name: the virtual environment, the C core, the telephones the tests call with.
# Installs system packages where it may (as root, with apt-get); otherwise says in one line which are missing.
set -euo pipefail
cd "$(dirname "$0")"

say() { printf '\033[1m%s\033[0m\n' "$*"; }
die() { printf 'setup: %s\n' "$*" >&2; exit 1; }

# install_packages WHY PACKAGE...: have them, or stop with the one line that helps.
install_packages() {
	local why=$1 missing=()
	shift
	for package in "$@"; do
		dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
	done
	[ ${#missing[@]} -eq 0 ] && return
	if command -v apt-get >/dev/null && [ "$(id -u)" = 0 ]; then
		say "Installing ${missing[*]} ($why)"
		apt-get update -qq
		DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
	else
		die "$why needs these packages, please install them: sudo apt-get install ${missing[*]}"
	fi
}

find_python() {
	local candidate
	for candidate in "${PYTHON:-}" python3.13 python3.12 python3.11 python3; do
		[ -n "$candidate" ] && command -v "$candidate" >/dev/null || continue
		"$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo "$candidate"; return; }
	done
	die "Python 3.11 or newer is needed (Debian 12: sudo apt-get install python3)"
}

environment() {
	local python
	python=$(find_python)
	if [ ! -x .venv/bin/python ]; then
		"$python" -c 'import ensurepip' 2>/dev/null || install_packages "a virtual environment" python3-venv
		say "Making a virtual environment in .venv"
		"$python" -m venv .venv
	fi
	say "Installing the libraries that requirements.txt pins"
	.venv/bin/python -m pip install --disable-pip-version-check --quiet --progress-bar on -r requirements.txt
}

build() {
	command -v cc >/dev/null || install_packages "building the media core" gcc libc6-dev
	if ! .venv/bin/python -c 'import sys, sysconfig, os; sys.exit(not os.path.exists(os.path.join(sysconfig.get_path("include"), "Python.h")))'; then
		install_packages "building the media core" python3-dev
	fi
	say "Building the media core"
	.venv/bin/python -m pip install --disable-pip-version-check --quiet --no-deps --no-build-isolation --editable .
}

# What the tests run on, and the telephones they call with, none of them ours. Tests that miss one say so and are skipped.
peers() {
	.venv/bin/python -m pip install --disable-pip-version-check --quiet -r requirements-dev.txt
	local wanted="sip-tester baresip-core espeak-ng flite"
	if command -v apt-get >/dev/null && [ "$(id -u)" = 0 ]; then
		# shellcheck disable=SC2086
		install_packages "calls from telephones that are not ours" $wanted
	else
		for package in $wanted; do
			dpkg-query -W "$package" >/dev/null 2>&1 || echo "setup: tests that need $package are skipped (sudo apt-get install $package)"
		done
	fi
}

case "${1:-}" in
	environment | build | peers) "$1" ;;
	*) die "usage: ./setup.sh environment|build|peers" ;;
esac
