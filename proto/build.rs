//! Compiles the contract with protox, so that no `protoc` is needed.

use std::path::PathBuf;

use prost::Message;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let file = "forewarn/v1/risk.proto";
    println!("cargo:rerun-if-changed={file}");
    let descriptors = protox::compile([file], ["."])?;
    let out = PathBuf::from(std::env::var("OUT_DIR")?);
    std::fs::write(out.join("forewarn_v1.bin"), descriptors.encode_to_vec())?;
    tonic_prost_build::configure()
        // The packed floats stay in the buffer they arrived in.
        .bytes(".forewarn.v1.FeatureRows")
        .client_mod_attribute("forewarn.v1", "#[cfg(feature = \"client\")]")
        .server_mod_attribute("forewarn.v1", "#[cfg(feature = \"server\")]")
        .compile_fds(descriptors)?;
    prometheus()
}

/// Messages of others, which are read and, in tests, written; they have no service and no reflection.
fn prometheus() -> Result<(), Box<dyn std::error::Error>> {
    let files = ["prometheus/remote.proto", "prometheus/write_v2.proto"];
    for file in files {
        println!("cargo:rerun-if-changed={file}");
    }
    let descriptors = protox::compile(files, ["."])?;
    tonic_prost_build::configure().build_client(false).build_server(false).compile_fds(descriptors)?;
    Ok(())
}
