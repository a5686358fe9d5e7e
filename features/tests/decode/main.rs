//! The decoders from outside: against prost, against encoders of their own, on the committed corpus of the fuzz targets.

mod corpus;
mod gorilla;
mod oracle;
mod otlp;
mod remote_read;
mod remote_write;
mod seeds;
mod xor_chunk;
