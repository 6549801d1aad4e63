#!/bin/sh
# What Cairn is for, with real input and in a new store: create a feed, append a file, read it back and compare, verify
# every block, show what the store holds.
#
#	tools/run.sh CAIRN FILE
set -eu

cairn=$1
file=$2
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
CAIRN_STORE=$dir/store
export CAIRN_STORE

# say prints a command as one would type it, and runs it.
say() {
	printf '\n$ %s\n' "$*"
	"$@"
}

echo "The store is $CAIRN_STORE."
say "$cairn" feed new readme
say "$cairn" feed append readme "$file" --block-size 1024
say "$cairn" feed info readme

printf '\n$ %s\n' "$cairn feed cat readme | cmp - $file"
"$cairn" feed cat readme > "$dir/copy"
cmp "$dir/copy" "$file"
echo "The feed holds $file byte for byte."

say "$cairn" feed audit readme
say "$cairn" check
say "$cairn" inspect
