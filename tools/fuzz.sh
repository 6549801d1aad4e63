#!/usr/bin/env bash
# Runs every fuzz target of the module, each for the time given: 20s, 10m.
set -euo pipefail
cd "$(dirname "$0")/.."

grep -rl --include='*_test.go' --exclude-dir=node_modules '^func Fuzz' . | xargs -r -n 1 dirname | sort -u | while read -r dir; do
	go test -list '^Fuzz' "$dir" | { grep '^Fuzz' || true; } | while read -r target; do
		echo "$dir $target"
		go test -run '^$' -fuzz "^$target\$" -fuzztime "$1" "$dir" < /dev/null
	done
done
