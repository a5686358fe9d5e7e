//! Compiles the workload of the containers into one static file, which the library carries.
//!
//! A container's root file system holds that file and nothing else, so it may not need a C library of the host. The
//! target with musl is taken where it is installed, else the host's with its C library linked in.

use std::path::PathBuf;
use std::process::Command;

fn main() {
    let source = PathBuf::from("workload/src");
    println!("cargo::rerun-if-changed={}", source.display());
    let out = PathBuf::from(std::env::var_os("OUT_DIR").unwrap_or_default()).join("workload");
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let host = std::env::var("TARGET").unwrap_or_default();
    let musl = host.replace("-gnu", "-musl");
    let mut problems = Vec::new();
    for target in [musl, host] {
        let compiled = Command::new(&rustc)
            .args(["--edition", "2024", "--crate-name", "workload", "--crate-type", "bin", "--target", &target])
            .args(["-C", "opt-level=2", "-C", "panic=abort", "-C", "strip=symbols", "-C", "target-feature=+crt-static"])
            .arg(source.join("main.rs"))
            .arg("-o")
            .arg(&out)
            .output();
        match compiled {
            Ok(output) if output.status.success() => return,
            Ok(output) => problems.push(format!("{target}: {}", String::from_utf8_lossy(&output.stderr).trim())),
            Err(error) => problems.push(format!("{target}: {error}")),
        }
    }
    println!(
        "cargo::error=the workload of the lab's containers could not be compiled: {}",
        problems.join("; ").replace('\n', " ")
    );
    std::process::exit(1);
}
