#!/usr/bin/env bash
# Everything that docs/benchmarks.md says of lakes: bench/lake.sh [MILLIONS] [ENTITIES]
#
# Prints the tables, one bench after the other, so that no two of them share the machine: what a sample costs online,
# what a decoder costs, the receiver, encodings, samples to features beside polars and duckdb, how cost grows, and
# memory of `dataset build`. MILLIONS (default 12) is the size of the comparison, ENTITIES (default: a day of each) how many.
# FOREWARN_PYTHON names an interpreter with the versions of notebooks/pyproject.toml; the one of .ci/run unless given.
# Takes about half an hour on two cores and 10 GB of disk; BENCHES="online lake scale" runs those alone.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-$HOME/.cache/forewarn-target}"
export CARGO_TERM_COLOR=never
export FOREWARN_PYTHON="${FOREWARN_PYTHON:-$HOME/.cache/forewarn-venv/bin/python}"
millions="${1:-12}"
entities="${2:-}"
benches="${BENCHES:-online decode receiver flood lake_layout lake scale memory}"

if ! "$FOREWARN_PYTHON" -c 'import duckdb, numpy, polars' 2>/dev/null; then
    echo "$FOREWARN_PYTHON has no duckdb, numpy and polars; set FOREWARN_PYTHON to an interpreter that has" >&2
    exit 2
fi

heading() { printf '\n== %s (%s s, load %s)\n' "$1" "$SECONDS" "$(cut -d ' ' -f 1-3 /proc/loadavg)"; }

# Features unify for the whole workspace, so that nothing is compiled again for one room.
bench() {
    local name="$1"
    shift
    cargo bench --quiet --workspace --bench "$name" -- "$@" </dev/null
}

commit="$(git rev-parse --short HEAD)$(git diff --quiet HEAD || echo ' with changes')"
echo "$(date -u +%F), commit $commit, $(rustc --version), $(uname -sr)"
grep -m 1 'model name' /proc/cpuinfo || true
free -h | sed -n 2p

heading "polars and duckdb against a loop over samples"
"$FOREWARN_PYTHON" datasets/benches/lake_peers_check.py | tail -n 1

for name in $benches; do
    heading "$name"
    case "$name" in
        online | decode | lake_layout) bench "$name" ;;
        receiver) bench receiver 4 ;;
        flood) bench receiver flood 10 ;;
        lake) bench lake "$millions" ${entities:+"$entities"} ;;
        scale) bench lake scale ;;
        memory) bench lake memory ;;
        *)
            echo "$name is no bench; online decode receiver flood lake_layout lake scale memory are" >&2
            exit 2
            ;;
    esac
done
heading "done"
