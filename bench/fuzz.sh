#!/usr/bin/env bash
# Fuzzes the decoders: bench/fuzz.sh SECONDS [TARGET...]
#
# Builds the targets of fuzz/ with stable Rust: coverage counters, debug assertions and overflow checks, no sanitizer
# (no crate of ours has unsafe code). Runs each for SECONDS from its committed corpus and prints one line per target:
# executions, seconds, executions per second, coverage (edges), corpus (inputs). What a run adds to the corpus goes to
# FUZZ_CORPUS (default: beside the build) and is used by the next run. An input that breaks a target is kept there too;
# its path is printed and the script ends with 1. FUZZ_JOBS targets run side by side (default: 1).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../fuzz"

seconds="${1:-}"
case "$seconds" in
    "" | *[!0-9]*)
        echo "usage: bench/fuzz.sh SECONDS [TARGET...]" >&2
        exit 2
        ;;
esac
shift
all=(exposition mapping otlp remote_read remote_write_v1 remote_write_v2 snappy vm_export xor_chunk)
targets=("${@:-${all[@]}}")
for target in "${targets[@]}"; do
    if [ ! -f "fuzz_targets/$target.rs" ]; then
        echo "$target is no target; ${all[*]} are" >&2
        exit 2
    fi
done

export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-$HOME/.cache/forewarn-target}-fuzz"
work="${FUZZ_CORPUS:-$CARGO_TARGET_DIR/corpus}"
# With a target named, build scripts and macros are compiled without the counters, which only libFuzzer understands.
host="$(rustc -vV | sed -n 's/^host: //p')"
export RUSTFLAGS="--cfg fuzzing -Cpasses=sancov-module \
-Cllvm-args=-sanitizer-coverage-level=4 -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
-Cllvm-args=-sanitizer-coverage-pc-table -Cllvm-args=-sanitizer-coverage-trace-compares"
cargo build --release --locked --target "$host" --bins
bin="$CARGO_TARGET_DIR/$host/release"

# Runs one target and prints its line.
fuzz() {
    local target="$1" log="$work/$1.log" code=0
    mkdir -p "$work/$target" "$work/broken/$target"
    "$bin/$target" "$work/$target" "corpus/$target" -max_total_time="$seconds" -rss_limit_mb=1024 -max_len=65536 \
        -timeout=20 -print_final_stats=1 -artifact_prefix="$work/broken/$target/" </dev/null >"$log" 2>&1 || code=$?
    awk -v target="$target" -v code="$code" -v seconds="$seconds" '
        / cov: / {
            for (i = 1; i < NF; i++) {
                if ($i == "cov:") coverage = $(i + 1)
                if ($i == "corp:") { split($(i + 1), part, "/"); corpus = part[1] }
            }
        }
        /stat::number_of_executed_units:/ { runs = $2 }
        /stat::average_exec_per_sec:/ { rate = $2 }
        /stat::peak_rss_mb:/ { memory = $2 }
        END {
            printf "%-16s %12d executions %5d s %8d /s %6d edges %6d inputs %5d MB %s\n", target, runs, seconds, rate,
                coverage, corpus, memory, code == 0 ? "ok" : "BROKEN"
        }' "$log"
    if [ "$code" -ne 0 ]; then
        grep -E 'panicked at|ERROR|Test unit written|^assertion|left:|right:' "$log" | cut -c 1-500 >&2 || tail -n 20 "$log" >&2
    fi
    return "$code"
}

broken=0
jobs="${FUZZ_JOBS:-1}"
pids=()
for target in "${targets[@]}"; do
    if [ "${#pids[@]}" -ge "$jobs" ]; then
        wait "${pids[0]}" || broken=1
        pids=("${pids[@]:1}")
    fi
    fuzz "$target" &
    pids+=("$!")
done
for pid in "${pids[@]}"; do
    wait "$pid" || broken=1
done
exit "$broken"
