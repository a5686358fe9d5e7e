//! The RPCs: check, hand on, translate back.

use std::sync::Arc;
use std::time::{Duration, Instant};

use features::FeatureBatch;
use proto::v1::risk_service_server::RiskService;
use proto::v1::{GetModelRequest, ModelCard, ScoreRequest, ScoreResponse};
use tokio::sync::mpsc;
use tonic::{Request, Response, Status};

use crate::admission::{Admission, Deadline};
use crate::batcher::{Answer, Job, Queue};
use crate::config::ServeConfig;
use crate::telemetry::Telemetry;
use crate::wire::Wire;
use crate::{Result, ServeError};

/// When the headers of a request were read; the deadline counts from here.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Arrival(pub(crate) Instant);

/// Everything a request meets on its way.
pub(crate) struct Risks {
    pub(crate) wire: Wire,
    pub(crate) queue: Arc<Queue>,
    pub(crate) admission: Arc<Admission>,
    pub(crate) telemetry: Arc<Telemetry>,
    pub(crate) config: ServeConfig,
}

#[tonic::async_trait]
impl RiskService for Risks {
    async fn score(&self, request: Request<ScoreRequest>) -> Result<Response<ScoreResponse>, Status> {
        self.answer(request).await.map_err(|error| {
            self.telemetry.rejected(error.reason());
            error.into()
        })
    }

    async fn get_model(&self, request: Request<GetModelRequest>) -> Result<Response<ModelCard>, Status> {
        let request = request.into_inner();
        self.wire.check_model(&request.model, &request.version)?;
        Ok(Response::new(self.wire.card()))
    }
}

impl Risks {
    async fn answer(&self, request: Request<ScoreRequest>) -> Result<Response<ScoreResponse>> {
        let arrived = request.extensions().get::<Arrival>().map_or_else(Instant::now, |arrival| arrival.0);
        let deadline = Deadline::of(request.metadata(), arrived, &self.config)?;
        deadline.check()?;
        let (rows, features) = self.wire.rows(request.into_inner())?;
        let answers = if features.rows() == 0 { Vec::new() } else { self.compute(features, deadline).await? };
        let response = self.wire.response(rows, &answers);
        for status in response.risks.chunk_by(|a, b| a.status == b.status) {
            self.telemetry.row(status[0].status(), status.len());
        }
        Ok(with_times(Response::new(response), &answers))
    }

    /// Sends the rows to the device and waits for all answers, but not longer than the caller does.
    async fn compute(&self, features: FeatureBatch, deadline: Deadline) -> Result<Vec<Answer>> {
        let count = features.rows();
        let places = self.admission.admit(count)?;
        let (reply, mut answers) = mpsc::unbounded_channel();
        let job = Job { features, deadline: deadline.at, enqueued: Instant::now(), reply };
        if !self.queue.push(job, places) {
            return Err(ServeError::Draining);
        }
        // The receiver is dropped with this future: that is how the device learns that the caller has gone.
        let collect = async {
            let mut collected = Vec::with_capacity(1);
            let mut done = 0;
            while done < count {
                // The sender is gone without an answer when the queue was closed or the deadline passed in it.
                let answer: Answer = match answers.recv().await {
                    Some(answer) => answer,
                    None => return Err(deadline.check().err().unwrap_or(ServeError::Draining)),
                };
                done += answer.rows.len();
                collected.push(answer);
            }
            Ok(collected)
        };
        tokio::time::timeout_at(deadline.at.into(), collect).await.unwrap_or_else(|_| Err(deadline.exceeded()))
    }
}

/// Queue and compute time of the answer, for clients that want to know where the time went.
fn with_times(mut response: Response<ScoreResponse>, answers: &[Answer]) -> Response<ScoreResponse> {
    let micros = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
    let waited = answers.iter().map(|answer| answer.waited).max().unwrap_or_default();
    let computed = answers.iter().map(|answer| answer.computed).sum();
    let rows = answers.iter().map(|answer| answer.outcomes.len()).max().unwrap_or_default();
    let metadata = response.metadata_mut();
    metadata.insert("x-queue-us", micros(waited).into());
    metadata.insert("x-compute-us", micros(computed).into());
    metadata.insert("x-batch-rows", u64::try_from(rows).unwrap_or(u64::MAX).into());
    response
}
