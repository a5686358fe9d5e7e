//! What the records of the log say: a new series, or rows that became known at one time.

use features::{CanonicalSeries, Entity, EntityKind, MetricId};

use super::writer::{LakeRow, SeriesId};

const SERIES: u8 = 1;
const ROWS: u8 = 2;
const ROW_BYTES: usize = 20;

/// A record of the log.
#[derive(Debug)]
pub(super) enum Record<'a> {
    Series(u32, CanonicalSeries),
    Rows(i64, &'a [u8]),
}

pub(super) fn series(id: u32, series: &CanonicalSeries) -> Vec<u8> {
    let mut record = vec![SERIES];
    record.extend_from_slice(&id.to_le_bytes());
    record.extend_from_slice(&series.metric.0.to_le_bytes());
    let entity = &series.entity;
    for text in [entity.kind().name(), entity.key(), entity.incarnation(), &series.part] {
        record.extend_from_slice(&u32::try_from(text.len()).unwrap_or(u32::MAX).to_le_bytes());
        record.extend_from_slice(text.as_bytes());
    }
    record
}

pub(super) fn rows(known_at: i64, rows: &[LakeRow]) -> Vec<u8> {
    let mut record = Vec::with_capacity(9 + ROW_BYTES * rows.len());
    record.push(ROWS);
    record.extend_from_slice(&known_at.to_le_bytes());
    for row in rows {
        record.extend_from_slice(&row.series.0.to_le_bytes());
        record.extend_from_slice(&row.time.to_le_bytes());
        record.extend_from_slice(&row.value.to_bits().to_le_bytes());
    }
    record
}

/// Reads a payload; `None` when it is none of ours.
pub(super) fn read(payload: &[u8]) -> Option<Record<'_>> {
    let (&tag, mut rest) = payload.split_first()?;
    match tag {
        SERIES => {
            let id = u32::from_le_bytes(take(&mut rest)?);
            let metric = MetricId(u16::from_le_bytes(take(&mut rest)?));
            let mut text = || {
                let length = u32::from_le_bytes(take(&mut rest)?) as usize;
                let (text, after) = rest.split_at_checked(length)?;
                rest = after;
                std::str::from_utf8(text).ok()
            };
            let kind = EntityKind::from_name(text()?).ok()?;
            let entity = Entity::try_new(kind, text()?, text()?).ok()?;
            Some(Record::Series(id, CanonicalSeries { entity, metric, part: text()?.to_owned() }))
        }
        ROWS => {
            let known_at = i64::from_le_bytes(take(&mut rest)?);
            rest.len().is_multiple_of(ROW_BYTES).then_some(Record::Rows(known_at, rest))
        }
        _ => None,
    }
}

/// The rows of a record.
pub(super) fn each_row(rows: &[u8]) -> impl Iterator<Item = LakeRow> {
    rows.chunks_exact(ROW_BYTES).filter_map(|mut row| {
        Some(LakeRow {
            series: SeriesId(u32::from_le_bytes(take(&mut row)?)),
            time: i64::from_le_bytes(take(&mut row)?),
            value: f64::from_bits(u64::from_le_bytes(take(&mut row)?)),
        })
    })
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (head, tail) = rest.split_first_chunk::<N>()?;
    *rest = tail;
    Some(*head)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_say_again_what_was_said() {
        let entity = Entity::try_new(EntityKind::Pod, "shop/cart", "uid").unwrap();
        let stored = CanonicalSeries { entity, metric: MetricId(7), part: "device=sda".to_owned() };
        let Some(Record::Series(5, again)) = read(&series(5, &stored)) else { panic!("no series") };
        assert_eq!(again, stored);
        let stale = f64::from_bits(features::sample::STALE_NAN_BITS);
        let given =
            [(1, -5, stale), (2, 9, 0.5)].map(|(id, time, value)| LakeRow { series: SeriesId(id), time, value });
        let record = rows(77, &given);
        let Some(Record::Rows(77, bytes)) = read(&record) else { panic!("no rows") };
        let bits = |row: LakeRow| (row.series, row.time, row.value.to_bits());
        assert_eq!(each_row(bytes).map(bits).collect::<Vec<_>>(), given.map(bits));
    }

    #[test]
    fn nothing_that_is_cut_short_is_read() {
        let entity = Entity::try_new(EntityKind::Pod, "shop/cart", "uid").unwrap();
        let record = series(5, &CanonicalSeries { entity, metric: MetricId(7), part: "p".to_owned() });
        for length in 0..record.len() {
            assert!(read(&record[..length]).is_none(), "{length}");
        }
        assert!(read(&[9, 0, 0]).is_none());
    }
}
