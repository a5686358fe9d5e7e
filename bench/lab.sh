#!/usr/bin/env bash
# A full run of the lab, its data set, and what can be foretold from it: bench/lab.sh OUT [LIVES] [CONCURRENCY] [SEED]
#
# Needs root, runc and e2fsprogs, and a machine with nothing else to do: whatever else runs is a neighbour that the lab
# does not see. About 35 minutes for 560 lives, 40 at a time, on two cores; a run that was cut off goes on.
# `bench/lab.sh publish OUT` puts a finished run into datasets/lab.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

forewarn="${CARGO_TARGET_DIR:-target}/release/forewarn"

if [ "${1:-}" = publish ]; then
    run="$2"
    to=datasets/lab
    "$forewarn" dataset verify "$run/dataset"
    "$forewarn" lake verify "$run/lake"
    mkdir -p "$to"
    rm -rf "$to/lake" "$to/dataset" "$to/spec"
    cp -r "$run/lake" "$run/dataset" "$run/spec" "$to/"
    # What a writer keeps for itself is of no use to readers.
    rm -rf "$to/lake/wal" "$to/lake"/*.lock
    cp "$run/lab.json" "$run/extractor.json" "$to/"
    # Of each life the last line: how it ended.
    python3 - "$run/truth.jsonl" "$to/truth.jsonl" <<'PYTHON'
import json, sys
last = {}
with open(sys.argv[1]) as file:
    for line in file:
        life = json.loads(line)
        last[life["uid"], life["run"], life["started_ms"]] = line
with open(sys.argv[2], "w") as file:
    file.writelines(last.values())
PYTHON
    exit 0
fi

out="$1"
"$forewarn" lab run --lives "${2:-560}" --concurrency "${3:-40}" --seed "${4:-7}" --out "$out"
"$forewarn" lab study "$out" --out "$out-study"
