//! The wire contract of Forewarn.
//!
//! [`v1`] holds the messages of `forewarn/v1/risk.proto`; its comments are the reference. The stubs are behind
//! the features `client` and `server`, so that a crate which only reads messages needs no transport. Rules for
//! changing the contract are in this crate's README. [`prometheus`] holds messages of others, as they are published.

/// Package `forewarn.v1`: the service of risks.
#[allow(unreachable_pub, clippy::all, reason = "generated code")]
pub mod v1 {
    include!(concat!(env!("OUT_DIR"), "/forewarn.v1.rs"));

    /// Encoded descriptors of this package, for server reflection.
    pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/forewarn_v1.bin"));

    /// Full name of the service, as in health checks and reflection.
    pub const SERVICE_NAME: &str = "forewarn.v1.RiskService";
}

/// Messages of Prometheus: remote write 1.0 and remote read (package `prometheus`).
#[allow(unreachable_pub, missing_docs, clippy::all, reason = "generated code")]
pub mod prometheus {
    include!(concat!(env!("OUT_DIR"), "/prometheus.rs"));

    /// Remote write 2.0 (package `io.prometheus.write.v2`).
    pub mod write_v2 {
        include!(concat!(env!("OUT_DIR"), "/io.prometheus.write.v2.rs"));
    }
}
