//! A request to rows: what it says as a whole, then row by row.

use features::{Entity, EntityKind, FeatureBatch};
use proto::v1::score_request::Body;
use proto::v1::{EntityKey, FeatureRows, RowStatus, ScoreRequest};
use survival::Readout;

use super::{Fault, Row, Rows, Wire, infinite};
use crate::{Result, ServeError};

impl Wire {
    /// Checks a request and reads its rows; a bad row is noted and has no features, a bad request is refused.
    pub(crate) fn rows(&self, request: ScoreRequest) -> Result<(Rows, FeatureBatch)> {
        self.check_model(&request.model, &request.version)?;
        let readout = self.readout(request.horizons)?;
        let (rows, features) = match request.body {
            Some(Body::Features(features)) => self.feature_rows(features)?,
            Some(Body::Windows(windows)) => self.window_rows(windows)?,
            None => return Err(invalid("the request has neither features nor windows".to_owned())),
        };
        Ok((Rows { rows, readout }, features))
    }

    fn readout(&self, horizons: Vec<f64>) -> Result<Readout> {
        let mut readout = self.info.readout.clone();
        if horizons.is_empty() {
            return Ok(readout);
        }
        let limit = self.config.horizons_per_request;
        if horizons.len() > limit {
            return Err(ServeError::TooLarge {
                what: "horizons of a request",
                got: horizons.len(),
                limit,
                key: "horizons_per_request",
            });
        }
        let (last, unit) = (self.info.grid.last_edge(), self.info.grid.unit().short());
        let mut previous = 0.0;
        for &horizon in &horizons {
            if horizon > last {
                return Err(invalid(format!(
                    "horizon {horizon} {unit} lies beyond the grid (last edge {last} {unit})"
                )));
            }
            if horizon.is_nan() || horizon <= previous {
                return Err(invalid(format!(
                    "horizon {horizon} comes after {previous}: horizons must be above 0 and increase"
                )));
            }
            previous = horizon;
        }
        readout.horizons = horizons;
        Ok(readout)
    }

    pub(super) fn check_count(&self, rows: usize) -> Result<()> {
        let limit = self.config.rows_per_request;
        if rows == 0 {
            return Err(invalid("the request has no rows".to_owned()));
        }
        if rows > limit {
            return Err(ServeError::TooLarge { what: "rows of a request", got: rows, limit, key: "rows_per_request" });
        }
        Ok(())
    }

    fn feature_rows(&self, message: FeatureRows) -> Result<(Vec<Row>, FeatureBatch)> {
        let spec = &self.info.spec;
        if message.feature_spec_hash != self.info.spec_hash {
            return Err(ServeError::SpecMismatch {
                expected: self.info.spec_hash.clone(),
                got: message.feature_spec_hash.chars().take(128).collect(),
            });
        }
        let count = message.entities.len();
        self.check_count(count)?;
        let (width, size) = (spec.flat.len(), spec.steps * spec.channels.len());
        check_size("as_of values (one per row)", count, message.as_of.len())?;
        check_size(
            &format!("bytes of flat ({count} rows x {width} columns x 4)"),
            count * width * 4,
            message.flat.len(),
        )?;
        let window = format!("({count} rows x {} steps x {} channels x 4)", spec.steps, spec.channels.len());
        check_size(&format!("bytes of sequence {window}"), count * size * 4, message.sequence.len())?;

        let mut rows = Vec::with_capacity(count);
        let (mut entities, mut times) = (Vec::with_capacity(count), Vec::with_capacity(count));
        let (mut flat, mut sequence) = (Vec::with_capacity(count * width), Vec::with_capacity(count * size));
        for (row, (key, as_of)) in message.entities.into_iter().zip(message.as_of).enumerate() {
            let values = &message.flat[row * width * 4..(row + 1) * width * 4];
            let window = &message.sequence[row * size * 4..(row + 1) * size * 4];
            let (flat_rows, sequence_rows) = (flat.len(), sequence.len());
            let entity = self.entity(&key).and_then(|entity| {
                read(values, &mut flat).map_err(|at| non_finite(&spec.flat[at].name))?;
                read(window, &mut sequence).map_err(|at| non_finite(&spec.channels[at % spec.channels.len()].name))?;
                Ok(entity)
            });
            let fault = match entity {
                Ok(entity) => {
                    entities.push(entity);
                    times.push(as_of);
                    None
                }
                Err(fault) => {
                    flat.truncate(flat_rows);
                    sequence.truncate(sequence_rows);
                    Some(fault)
                }
            };
            rows.push(Row { entity: Some(key), as_of, fault });
        }
        let features = FeatureBatch::try_new(spec, self.info.spec_hash.clone(), entities, times, flat, sequence)
            .map_err(|error| invalid(error.to_string()))?;
        Ok((rows, features))
    }

    pub(super) fn entity(&self, key: &EntityKey) -> Result<Entity, Fault> {
        let limit = self.config.key_bytes;
        for (what, text) in [("key", &key.key), ("incarnation", &key.incarnation), ("kind", &key.kind)] {
            if text.len() > limit {
                return Err(Fault::invalid(format!("entity {what} has {} bytes, the limit is {limit}", text.len())));
            }
        }
        let kind = EntityKind::from_name(&key.kind)?;
        Ok(Entity::try_new(kind, key.key.as_str(), key.incarnation.as_str())?)
    }
}

pub(super) fn invalid(reason: String) -> ServeError {
    ServeError::Invalid { reason }
}

fn check_size(what: &str, expected: usize, got: usize) -> Result<()> {
    if expected == got { Ok(()) } else { Err(invalid(format!("{what}: expected {expected}, got {got}"))) }
}

fn non_finite(column: &str) -> Fault {
    Fault { status: RowStatus::NonFinite, detail: infinite(column) }
}

/// Appends little-endian floats; the error is the place of the first infinite one.
fn read(bytes: &[u8], values: &mut Vec<f32>) -> Result<(), usize> {
    let start = values.len();
    let (quads, _) = bytes.as_chunks::<4>();
    values.extend(quads.iter().map(|&quad| f32::from_le_bytes(quad)));
    match values[start..].iter().position(|value| value.is_infinite()) {
        Some(at) => Err(at),
        None => Ok(()),
    }
}
