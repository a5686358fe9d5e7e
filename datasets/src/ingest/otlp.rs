//! OTLP metrics over gRPC, and the answers that OTLP over HTTP shares with it.

use std::convert::Infallible;
use std::future::Future;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::{Buf, Bytes};
use features::decode::SeriesSink;
use opentelemetry_proto::tonic::collector::metrics::v1::metrics_service_server::SERVICE_NAME;
use opentelemetry_proto::tonic::collector::metrics::v1::{
    ExportMetricsPartialSuccess, ExportMetricsServiceRequest, ExportMetricsServiceResponse,
};
use prost::Message;
use tokio::net::TcpListener;
use tonic::body::Body;
use tonic::codec::{Codec, CompressionEncoding, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::codegen::{BoxFuture, Service, http};
use tonic::server::{Grpc, NamedService, UnaryService};
use tonic::transport::server::TcpIncoming;
use tonic::{Code, Request, Response, Status};

use super::receiver::{Answer, Work, check_otlp};
use super::statistics::{Ending, Protocol};
use super::wire;
use crate::{DatasetError, Result};

/// The only method of the service.
const EXPORT: &str = "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export";

pub(super) async fn serve(
    listener: TcpListener,
    work: Arc<Work>,
    stop: impl Future<Output = ()> + Send + 'static,
) -> Result<()> {
    tonic::transport::Server::builder()
        // A message is inflated before it is admitted, so a connection must not bring many at once.
        .max_concurrent_streams(u32::try_from(work.options().max_in_flight).ok())
        .add_service(MetricsService(work))
        .serve_with_incoming_shutdown(TcpIncoming::from(listener).with_nodelay(Some(true)), stop)
        .await
        .map_err(|error| DatasetError::Config { subject: "gRPC listener".to_owned(), reason: error.to_string() })
}

/// `MetricsService`, by hand: the generated one decodes a message before anybody can count its points, and says of a
/// message past the limit what makes senders repeat it.
#[derive(Clone)]
struct MetricsService(Arc<Work>);

impl NamedService for MetricsService {
    const NAME: &'static str = SERVICE_NAME;
}

impl Service<http::Request<Body>> for MetricsService {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<Self::Response, Self::Error>;

    fn poll_ready(&mut self, _context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let work = self.0.clone();
        Box::pin(async move {
            if request.uri().path() != EXPORT {
                let problem = format!("{} is no method here, only {EXPORT} is", request.uri().path());
                return Ok(Status::unimplemented(problem).into_http());
            }
            let mut grpc = Grpc::new(Envelope)
                // The 4 MiB of the library are less than collectors send.
                .max_decoding_message_size(work.options().max_decoded)
                .accept_compressed(CompressionEncoding::Gzip)
                .send_compressed(CompressionEncoding::Gzip);
            let mut response = grpc.unary(Export(work.clone()), request).await;
            if too_long(&response) {
                work.counters().ended(Protocol::OtlpGrpc, Ending::TooLarge);
                let code = http::HeaderValue::from(code(Ending::TooLarge) as i32);
                response.headers_mut().insert(Status::GRPC_STATUS, code);
            }
            Ok(response)
        })
    }
}

/// Whether the library refused a message for its length. Nothing else here is out of range, which OTLP takes for
/// something to be repeated, and a message that is too long stays so.
fn too_long(response: &http::Response<Body>) -> bool {
    let code = response.headers().get(Status::GRPC_STATUS);
    code.is_some_and(|code| Code::from_bytes(code.as_bytes()) == Code::OutOfRange)
}

/// Leaves a request's message as it came: it is decoded where that may block, and where few are decoded at once.
struct Envelope;

impl Codec for Envelope {
    type Encode = ExportMetricsServiceResponse;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Envelope {
    type Item = ExportMetricsServiceResponse;
    type Error = Status;

    fn encode(&mut self, response: ExportMetricsServiceResponse, into: &mut EncodeBuf<'_>) -> Result<(), Status> {
        response.encode(into).map_err(|error| Status::internal(error.to_string()))
    }
}

impl Decoder for Envelope {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, message: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        let length = message.remaining();
        Ok(Some(message.copy_to_bytes(length)))
    }
}

/// The method of the service.
struct Export(Arc<Work>);

impl UnaryService<Bytes> for Export {
    type Response = ExportMetricsServiceResponse;
    type Future = BoxFuture<Response<ExportMetricsServiceResponse>, Status>;

    fn call(&mut self, request: Request<Bytes>) -> Self::Future {
        let work = self.0.clone();
        Box::pin(async move {
            let token = request.metadata().get("authorization").map(|value| value.as_encoded_bytes().to_vec());
            let answer = if work.authorized(token.as_deref()) {
                store(&work, request.into_inner()).await
            } else {
                Answer::refusal(Ending::Unauthorized, "send the receiver's token as authorization: Bearer …")
            };
            work.counters().ended(Protocol::OtlpGrpc, answer.ending);
            match answer.ending {
                Ending::Stored | Ending::Partial => Ok(Response::new(response(&answer))),
                ending => Err(Status::new(code(ending), answer.message)),
            }
        })
    }
}

async fn store(work: &Arc<Work>, message: Bytes) -> Answer {
    let _place = match work.admit().await {
        Ok(place) => place,
        Err(answer) => return answer,
    };
    let most = work.options().max_samples;
    let decode = move |sink: &mut dyn SeriesSink| -> Result<(), Answer> {
        check_otlp(&message, most)?;
        let message = ExportMetricsServiceRequest::decode(message)
            .map_err(|error| Answer::refusal(Ending::Malformed, format!("ExportMetricsServiceRequest: {error}")))?;
        wire::otlp_message(&message, sink);
        Ok(())
    };
    work.clone().store(Protocol::OtlpGrpc, decode).await
}

/// Success, with what was refused, if anything was.
pub(super) fn response(answer: &Answer) -> ExportMetricsServiceResponse {
    let partial_success = (answer.refused > 0).then(|| ExportMetricsPartialSuccess {
        rejected_data_points: i64::try_from(answer.refused).unwrap_or(i64::MAX),
        error_message: answer.message.clone(),
    });
    ExportMetricsServiceResponse { partial_success }
}

/// The code a sender decides by: it repeats what was UNAVAILABLE. RESOURCE_EXHAUSTED would need a retry hint
/// (`RetryInfo`) beside it to be repeated, so it stands for what is too large.
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
