#!/usr/bin/env bash
# Builds the fuzz targets and runs them, all together for about SECONDS, each from its seeds in corpus/NAME.
#
#   native/fuzz/run.sh SECONDS [NAME ...]     NAME: rtp, rtcp, ...; every one there is where left out
#
# With clang they are libFuzzer's, guided by coverage; with another compiler each is a seeded loop (standalone.c). Both
# under the address and undefined-behaviour sanitizers. Ends with 1 where an input was found that breaks one: libFuzzer
# keeps it in build/fuzz/found/NAME, the loop prints it.
set -euo pipefail
cd "$(dirname "$0")/../.."

seconds=${1:?how many seconds in all?}
shift
build=build/fuzz
compiler=${CC:-cc}
kind=_standalone
probe=$(mktemp)
trap 'rm -f "$probe"' EXIT
if echo 'int LLVMFuzzerTestOneInput(const char *d, long n) { return d && n < 0; }' |
	clang -x c - -fsanitize=fuzzer,address -o "$probe" 2>/dev/null; then
	compiler=clang
	kind=
fi

cmake -S . -B "$build" -DCMAKE_C_COMPILER="$compiler" -DCMAKE_BUILD_TYPE=Debug -DOH_FUZZ=ON -DOH_MODULE=OFF \
	-DOH_SANITIZE=address,undefined >/dev/null
cmake --build "$build" --parallel 2 >/dev/null

names=("$@")
if [ ${#names[@]} -eq 0 ]; then
	for target in native/fuzz/fuzz_*.c; do
		name=${target##*/fuzz_}
		names+=("${name%.c}")
	done
fi
each=$((seconds / ${#names[@]}))
[ "$each" -gt 0 ] || each=1

for name in "${names[@]}"; do
	program=$build/native/fuzz/fuzz_$name$kind
	seeds=native/fuzz/corpus/$name
	found=$build/found/$name
	mkdir -p "$found"
	if [ -z "$kind" ]; then
		# What it finds on its way goes to the first folder; the seeds stay as they are.
		"$program" -max_total_time="$each" -timeout=10 -rss_limit_mb=1024 -max_len=2048 -print_final_stats=1 \
			-artifact_prefix="$found/" "$found" "$seeds" >"$found.log" 2>&1 || {
			tail -n 60 "$found.log"
			exit 1
		}
		runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$found.log")
	else
		runs=$("$program" -t "$each" "$seeds"/*)
		runs=${runs%% *}
	fi
	echo "$name: $runs runs"
done
