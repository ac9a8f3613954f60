#!/usr/bin/env bash
# Builds the program of another commit of this repository, once, and prints its path.
#
#   tests/other_version.sh 5d58aa8
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

name=${1:?expected a commit}
if ! commit=$(git rev-parse --verify --quiet "$name^{commit}"); then
    echo "no commit $name here: \`git fetch --unshallow\` gets what a shallow clone lacks; or name another, as in" >&2
    echo "\`make rolling FROM=<the version that runs>\`" >&2
    exit 1
fi

folder=target/rolling
program=$folder/parlor-$commit
if [[ ! -x $program ]]; then
    source=$folder/source
    rm -rf "$source" && mkdir -p "$source"
    git archive "$commit" | tar --extract --directory "$source"
    cargo build --manifest-path "$source/Cargo.toml" --target-dir "$folder/build" --bin parlor >&2
    cp "$folder/build/debug/parlor" "$program.new"
    mv "$program.new" "$program"
fi
echo "$PWD/$program"
