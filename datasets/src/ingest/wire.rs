//! The decoders of `features` under the limits of this room, and the one message we send.

use features::decode::{DecodeError, SeriesSink};
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;

fn no() -> DecodeError {
    DecodeError { what: "x", at: 0, problem: String::new() }
}

pub(super) fn remote_write_1(_body: &[u8], _limit: usize, _sink: &mut dyn SeriesSink) -> Result<(), DecodeError> {
    Err(no())
}
pub(super) fn remote_write_2(_body: &[u8], _limit: usize, _sink: &mut dyn SeriesSink) -> Result<(), DecodeError> {
    Err(no())
}
pub(super) fn otlp(_body: &[u8], _limit: usize, _sink: &mut dyn SeriesSink) -> Result<(), DecodeError> {
    Err(no())
}
pub(super) fn otlp_message(_m: &ExportMetricsServiceRequest, _sink: &mut dyn SeriesSink) -> Result<(), DecodeError> {
    Err(no())
}
pub(super) fn vm_lines(_body: &[u8], _sink: &mut dyn SeriesSink) -> Result<(), DecodeError> {
    Err(no())
}
pub(super) fn exposition(_body: &[u8], _at: Option<i64>, _sink: &mut dyn SeriesSink) -> Result<(), DecodeError> {
    Err(no())
}
pub(super) fn read_response(_body: &[u8], _sink: &mut dyn SeriesSink) -> Result<(), DecodeError> {
    Err(no())
}
pub(super) fn chunked_read_response(_body: &[u8], _sink: &mut dyn SeriesSink) -> Result<(), DecodeError> {
    Err(no())
}
pub(super) fn read_request(_names: &str, _from: i64, _to: i64, _streamed: bool) -> Vec<u8> {
    Vec::new()
}
#[derive(Default)]
pub(super) struct Frames(Vec<u8>);
impl Frames {
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }
    pub(super) fn next(&mut self) -> Result<Option<&[u8]>, DecodeError> {
        Err(no())
    }
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
