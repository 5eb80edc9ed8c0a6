#!/usr/bin/env bash
# Sets up what `make` needs, one step by name: the virtual environment, the C core, the tools and telephones of the tests.
# Installs system packages where it may (as root, with apt-get); otherwise says in one line which are missing.
set -euo pipefail
cd -P "$(dirname "$0")"

LOG=build/setup.log

say() { if [ -t 1 ]; then printf '\033[1m%s\033[0m\n' "$*"; else printf '%s\n' "$*"; fi; }
die() { printf 'setup: %s\n' "$*" >&2; exit 1; }

trap 'echo; die "stopped; run make again to go on"' INT

may_install() { command -v apt-get >/dev/null && [ "$(id -u)" = 0 ]; }

# lacking PACKAGE...: those that are not installed.
lacking() {
	local package
	for package in "$@"; do
		dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || printf '%s ' "$package"
	done
}

# install_packages WHY PACKAGE...: have them, or stop with the one line that helps.
install_packages() {
	local why=$1
	shift
	may_install || die "$why needs these packages, please install them: sudo apt-get install $*"
	say "Installing $* ($why)"
	{ apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@"; } >/dev/null ||
		die "apt-get could not install $*; the lines above say why"
}

find_python() {
	local candidate
	for candidate in "${PYTHON:-}" python3.13 python3.12 python3.11 python3; do
		[ -n "$candidate" ] && command -v "$candidate" >/dev/null || continue
		"$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo "$candidate"; return; }
	done
	die "Python 3.11 or newer is needed (Debian 12: sudo apt-get install python3)"
}

# system_packages PYTHON: have all of what the steps below need, named at once and not one after the other.
system_packages() {
	local missing=() name
	name=$(basename "$1")
	"$1" -c 'import ensurepip' 2>/dev/null || missing+=("$name-venv")
	"$1" -c 'import os, sysconfig, sys; sys.exit(not os.path.exists(sysconfig.get_path("include") + "/Python.h"))' ||
		missing+=("$name-dev")
	command -v cc >/dev/null || missing+=(gcc)
	[ -e /usr/include/stdio.h ] || missing+=(libc6-dev)
	[ -e /usr/include/opus/opus.h ] || missing+=(libopus-dev)
	[ -e /usr/include/srtp2/srtp.h ] || missing+=(libsrtp2-dev)
	[ -e /usr/include/openssl/evp.h ] || missing+=(libssl-dev)
	[ ${#missing[@]} -eq 0 ] || install_packages "Offhook" "${missing[@]}"
}

# watched TOTAL COMMAND...: runs COMMAND with its output in the log; on a terminal, a bar says how far it is.
watched() {
	local total=$1
	shift
	mkdir -p "$(dirname "$LOG")"
	"$@" </dev/null 2>&1 | bar "$total" || explain
}

# explain: stop with what the log says of why.
explain() {
	local go_on="Then run make again; what is done stays done ($LOG)."
	grep -q 'No space left on device' "$LOG" && die "the disk is full. Make room. $go_on"
	grep -qE 'NewConnectionError|NameResolutionError|ConnectTimeoutError|ReadTimeoutError|ConnectionResetError' "$LOG" &&
		die "the package index could not be reached. Is this machine on the network? $go_on"
	grep -E 'ERROR: |[Ee]rror: ' "$LOG" | tail -n 5 >&2 || tail -n 5 "$LOG" >&2
	die "that did not work; the lines above say why, and $LOG all that was said"
}

# bar TOTAL: reads what pip or ninja say, and shows on one line how far they are.
bar() {
	local total=$1 done=0 label="" line filled
	while IFS= read -r line; do
		printf '%s\n' "$line" >&3
		if [[ $line =~ ^(Collecting|Requirement already satisfied:)\ ([^ ]+) ]]; then
			done=$((done < total ? done + 1 : total)) label=${BASH_REMATCH[2]}
		elif [[ $line =~ ^Processing\ ([^ ]+) ]]; then
			done=$((done < total ? done + 1 : total)) label=$(basename "${BASH_REMATCH[1]}")
		elif [[ $line == "Installing collected packages:"* ]]; then
			label="putting them in place"
		elif [[ $line =~ ^\ *\[([0-9]+)/([0-9]+)\]\ (.*) ]]; then
			done=${BASH_REMATCH[1]} total=${BASH_REMATCH[2]} label=$(basename "${BASH_REMATCH[3]}")
		fi
		[ -t 1 ] && [ -n "$label" ] || continue
		printf -v filled '%*s' $((total ? done * 30 / total : 0)) ''
		printf '\r\033[K  [%-30s] %d of %d  %.34s' "${filled// /#}" "$done" "$total" "$label"
	done 3>"$LOG"
	[ -t 1 ] && printf '\r\033[K' || true
}

install_pins() {
	# The pip that Debian brings does not tell how far a download is, and warns of packages that are well.
	# --use-pep517 builds the few that come as source the same way on every Python.
	watched "$(grep -c == "$1")" .venv/bin/python -m pip install --disable-pip-version-check --progress-bar off \
		--use-pep517 -r "$1"
}

environment() {
	local python
	python=$(find_python)
	system_packages "$python"
	# One that was broken off has no pip, one that was moved knows the wrong folder: both are made again.
	if ! .venv/bin/python -c 'import pip' 2>/dev/null || ! grep -qF "$PWD/.venv" .venv/bin/activate; then
		say "Making a virtual environment in .venv"
		watched 0 "$python" -m venv --clear .venv
	fi
	say "Installing the libraries that requirements.txt pins"
	install_pins requirements.txt
}

build() {
	say "Building the media core"
	watched 0 .venv/bin/python -m pip install --disable-pip-version-check --verbose --no-deps --no-build-isolation --editable .
}

# What the checks and tests run on.
tools() {
	say "Installing what checks and tests run on"
	install_pins requirements-dev.txt
}

# The telephones and the browser of the tests, what stands between them and the server, and the buffers they compare, none
# of them ours. Tests that miss one say so and are skipped.
peers() {
	local missing package service
	missing=$(lacking sip-tester baresip-core linphone-cli kamailio rtpengine-daemon coturn chromium espeak-ng flite \
		libspeexdsp1 libspandsp2 openssl)
	command -v npm >/dev/null || missing+=$(lacking npm)
	[ -n "$missing" ] || return 0
	if may_install; then
		# Not every distribution has all of them: then one by one, and tests without theirs are skipped.
		# shellcheck disable=SC2086
		(install_packages "telephones and buffers that are not ours" $missing) || for package in $missing; do
			(install_packages "one of them" "$package") || true
		done
		# Debian starts what serves, on the ports of the real thing. Here only tests start it.
		for service in kamailio rtpengine-daemon coturn; do
			case " $missing" in
			*" $service "*) systemctl disable --now "$service" >/dev/null 2>&1 || true ;;
			esac
		done
	else
		echo "setup: tests with others' telephones and buffers are skipped; to have them: sudo apt-get install $missing"
	fi
}

case "${1:-}" in
	environment | build | tools | peers) "$1" ;;
	*) die "usage: ./setup.sh environment|build|tools|peers" ;;
esac
