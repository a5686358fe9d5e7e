# Short names for the commands of CONTRIBUTING.md. `.ci/run` is the gate and needs none of these.

# What there is.
default:
    @just --list

# Simulate, train, compare, serve and ask: the whole job on a small fleet.
demo *arguments:
    cargo run --release -- demo {{ arguments }}

# Every test, in the one profile.
test *arguments:
    cargo test --release --workspace {{ arguments }}

# The cheap gates: format, lints, layers, documentation.
check: format clippy layers doc

format:
    cargo fmt --all --check

clippy:
    cargo clippy --release --workspace --all-targets -- -D warnings

# The arrows of ARCHITECTURE.md, read from cargo tree.
layers:
    cargo test --release --workspace --test layers

doc:
    RUSTDOCFLAGS="-D warnings" cargo doc --release --workspace --no-deps

# Licences, bans and sources of the dependency graph (cargo install cargo-deny).
deny:
    cargo deny check licenses bans sources

# Spelling (cargo install typos-cli).
typos:
    typos

# A short training on a software Vulkan adapter against the CPU.
software:
    cargo test --release --workspace --test software_device

# Printed tables, never timed tests: just bench estimators, epoch or score
bench name:
    cargo bench --workspace --bench {{ name }}

# Execute every notebook; needs FOREWARN_DATASET, FOREWARN_EVALUATION and the binary.
notebooks:
    python3 notebooks/tests/run_notebooks.py

# Everything, as it is judged.
ci:
    .ci/run
