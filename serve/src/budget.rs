//! Bytes of requests on their way in, counted for the whole process.
//!
//! The decoder makes room for a message as soon as its five-byte prefix announces a length. Without a common budget
//! every stream of every connection could claim the largest message and never send it.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use hyper::body::{Body, Bytes, Frame, Incoming, SizeHint};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tonic::Status;

use crate::ServeError;
use crate::telemetry::Telemetry;

/// Flag and big-endian length before a gRPC message.
const PREFIX: usize = 5;

/// What is counted, so that the whole budget fits the counter.
const UNIT: usize = 1024;

/// Room for announced messages.
#[derive(Clone)]
pub(crate) struct Budget {
    units: Arc<Semaphore>,
    bytes: usize,
    /// Longer messages are refused by the decoder before it makes room.
    decode_limit: usize,
    telemetry: Arc<Telemetry>,
}

impl Budget {
    pub(crate) fn new(bytes: usize, decode_limit: usize, telemetry: Arc<Telemetry>) -> Self {
        Self { units: Arc::new(Semaphore::new(bytes / UNIT)), bytes, decode_limit, telemetry }
    }

    fn take(&self, announced: usize) -> Result<Option<OwnedSemaphorePermit>, ServeError> {
        if announced > self.decode_limit {
            return Ok(None);
        }
        let units = u32::try_from(announced.div_ceil(UNIT)).unwrap_or(u32::MAX);
        let room = Arc::clone(&self.units).try_acquire_many_owned(units);
        room.map(Some).map_err(|_| {
            let error = ServeError::BytesFull { announced, limit: self.bytes };
            self.telemetry.rejected(error.reason());
            error
        })
    }
}

/// A request body that takes its announced length from the budget before the decoder sees the prefix, and holds it
/// until the message is decoded.
pub(crate) struct Budgeted {
    body: Incoming,
    budget: Budget,
    prefix: [u8; PREFIX],
    seen: usize,
    room: Option<OwnedSemaphorePermit>,
}

impl Budgeted {
    pub(crate) fn new(body: Incoming, budget: Budget) -> Self {
        Self { body, budget, prefix: [0; PREFIX], seen: 0, room: None }
    }

    fn look_at(&mut self, data: &Bytes) -> Result<(), ServeError> {
        if self.seen == PREFIX {
            return Ok(());
        }
        let new = data.len().min(PREFIX - self.seen);
        self.prefix[self.seen..self.seen + new].copy_from_slice(&data[..new]);
        self.seen += new;
        if self.seen == PREFIX {
            let [_, length @ ..] = self.prefix;
            let announced = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
            self.room = self.budget.take(announced)?;
        }
        Ok(())
    }
}

impl Body for Budgeted {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = self.get_mut();
        let frame = match ready!(Pin::new(&mut this.body).poll_frame(context)) {
            None => return Poll::Ready(None),
            Some(Err(error)) => return Poll::Ready(Some(Err(Status::from_error(Box::new(error))))),
            Some(Ok(frame)) => frame,
        };
        if let Some(data) = frame.data_ref()
            && let Err(error) = this.look_at(data)
        {
            return Poll::Ready(Some(Err(error.into())));
        }
        Poll::Ready(Some(Ok(frame)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
