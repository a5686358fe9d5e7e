//! OTLP metrics over gRPC, and the answers that OTLP over HTTP shares with it.

use std::future::Future;
use std::sync::Arc;

use features::decode::SeriesSink;
use opentelemetry_proto::tonic::collector::metrics::v1::metrics_service_server::{
    MetricsService, MetricsServiceServer,
};
use opentelemetry_proto::tonic::collector::metrics::v1::{
    ExportMetricsPartialSuccess, ExportMetricsServiceRequest, ExportMetricsServiceResponse,
};
use tokio::net::TcpListener;
use tonic::codec::CompressionEncoding;
use tonic::transport::server::TcpIncoming;
use tonic::{Code, Request, Response, Status};

use super::receiver::{Answer, Work};
use super::statistics::{Ending, Protocol};
use super::wire;
use crate::{DatasetError, Result};

struct Receiver(Arc<Work>);

#[tonic::async_trait]
impl MetricsService for Receiver {
    async fn export(
        &self,
        request: Request<ExportMetricsServiceRequest>,
    ) -> Result<Response<ExportMetricsServiceResponse>, Status> {
        let work = &self.0;
        let token = request.metadata().get("authorization").map(|value| value.as_encoded_bytes().to_vec());
        let answer = if work.authorized(token.as_deref()) {
            match work.admit().await {
                Ok(_place) => {
                    let message = request.into_inner();
                    let decode = move |sink: &mut dyn SeriesSink| {
                        wire::otlp_message(&message, sink);
                        Ok(())
                    };
                    work.clone().store(Protocol::OtlpGrpc, decode).await
                }
                Err(answer) => answer,
            }
        } else {
            Answer::refusal(Ending::Unauthorized, "send the receiver's token as authorization: Bearer …")
        };
        work.counters().ended(Protocol::OtlpGrpc, answer.ending);
        match answer.ending {
            Ending::Stored | Ending::Partial => Ok(Response::new(response(&answer))),
            ending => Err(Status::new(code(ending), answer.message)),
        }
    }
}

pub(super) async fn serve(
    listener: TcpListener,
    work: Arc<Work>,
    stop: impl Future<Output = ()> + Send + 'static,
) -> Result<()> {
    let service = MetricsServiceServer::new(Receiver(work.clone()))
        // The 4 MiB of the library are less than collectors send.
        .max_decoding_message_size(work.options().max_decoded)
        .accept_compressed(CompressionEncoding::Gzip)
        .send_compressed(CompressionEncoding::Gzip);
    tonic::transport::Server::builder()
        // A message is decoded before it is admitted, so a connection must not bring many at once.
        .max_concurrent_streams(u32::try_from(work.options().max_in_flight).ok())
        .add_service(service)
        .serve_with_incoming_shutdown(TcpIncoming::from(listener).with_nodelay(Some(true)), stop)
        .await
        .map_err(|error| DatasetError::Config { subject: "gRPC listener".to_owned(), reason: error.to_string() })
}

/// Success, with what was refused, if anything was.
pub(super) fn response(answer: &Answer) -> ExportMetricsServiceResponse {
    let partial_success = (answer.refused > 0).then(|| ExportMetricsPartialSuccess {
        rejected_data_points: i64::try_from(answer.refused).unwrap_or(i64::MAX),
        error_message: answer.message.clone(),
    });
    ExportMetricsServiceResponse { partial_success }
}

/// The code a sender decides by: it repeats what was UNAVAILABLE. RESOURCE_EXHAUSTED would need a retry hint beside it
/// to be repeated, so it stands for what is too large.
fn code(ending: Ending) -> Code {
    match ending {
        Ending::Stored | Ending::Partial => Code::Ok,
        Ending::Malformed => Code::InvalidArgument,
        Ending::Unsupported => Code::Unimplemented,
        Ending::TooLarge => Code::ResourceExhausted,
        Ending::Busy | Ending::Unavailable => Code::Unavailable,
        Ending::Unauthorized => Code::Unauthenticated,
    }
}

/// The body of a failed OTLP/HTTP request: `google.rpc.Status` without details.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct HttpStatus {
    #[prost(int32, tag = "1")]
    code: i32,
    #[prost(string, tag = "2")]
    message: String,
}

pub(super) fn http_status(answer: &Answer) -> HttpStatus {
    HttpStatus { code: code(answer.ending) as i32, message: answer.message.clone() }
}
