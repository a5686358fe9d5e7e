//! The tiles of one metric of one part, and the walks over them.

use crate::catalogue::MetricKind;
use crate::tile::{Aggregate, CounterTile, DeltaTile, GaugeTile, SpanKind, StateTile, Tile, TileKind, TimeTile};

/// Tiles of one kind by interval number, ascending, and roll-ups of them where they were made beforehand.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Track<T: TileKind> {
    pub(super) tiles: Vec<(i64, T)>,
    rolled: Vec<(i64, T::Span)>,
    /// Tiles per roll-up.
    rolled_by: i64,
    /// Same while the roll-ups cover all tiles, else 0.
    multiple: i64,
}

impl<T: TileKind> Default for Track<T> {
    fn default() -> Self {
        Self { tiles: Vec::new(), rolled: Vec::new(), rolled_by: 0, multiple: 0 }
    }
}

impl<T: TileKind> Track<T> {
    /// The newest tile, which becomes that of interval `number`; older intervals are never asked for.
    #[inline]
    pub(super) fn at(&mut self, number: i64) -> &mut T {
        self.multiple = 0;
        if self.tiles.last().is_none_or(|&(newest, _)| newest < number) {
            self.tiles.push((number, T::EMPTY));
        }
        let newest = self.tiles.len() - 1;
        &mut self.tiles[newest].1
    }

    /// Joins whole groups of tiles beforehand; what was joined before and cannot have changed is kept.
    fn roll(&mut self, multiple: i64, longest_gap: i64) {
        if self.multiple == multiple {
            return;
        }
        if self.rolled_by != multiple {
            self.rolled.clear();
            self.rolled_by = multiple;
        }
        // The newest may have grown.
        self.rolled.pop();
        let from = self
            .rolled
            .last()
            .map_or(0, |&(newest, _)| self.tiles.partition_point(|&(number, _)| number.div_euclid(multiple) <= newest));
        for group in self.tiles[from..].chunk_by(|a, b| a.0.div_euclid(multiple) == b.0.div_euclid(multiple)) {
            self.rolled.push((group[0].0.div_euclid(multiple), join_back::<T>(group, longest_gap)));
        }
        self.multiple = multiple;
    }

    /// Forgets tiles before interval `number`, and every roll-up (they are made again from what is left).
    fn forget(&mut self, number: i64) {
        let keep = self.tiles.partition_point(|&(at, _)| at < number);
        self.tiles.drain(..keep);
        self.rolled.clear();
        self.multiple = 0;
    }

    /// Every window ending before interval `head`, in one pass; `windows` are numbers of tiles, ascending.
    #[inline]
    pub(crate) fn windows(
        &self,
        head: i64,
        windows: impl Iterator<Item = i64>,
        longest_gap: i64,
        mut each: impl FnMut(usize, &T::Span),
    ) {
        let end = self.tiles.partition_point(|&(number, _)| number < head);
        let mut span = T::Span::EMPTY;
        let mut older = self.tiles[..end].iter().rev().peekable();
        for (index, length) in windows.enumerate() {
            while let Some((_, tile)) = older.next_if(|&&(number, _)| number >= head - length) {
                span.join(&tile.span(), longest_gap);
            }
            each(index, &span);
        }
    }

    /// The same over roll-ups of `multiple` tiles, all numbers being of roll-ups.
    #[inline]
    pub(crate) fn rolled_windows(
        &self,
        head: i64,
        windows: impl Iterator<Item = i64>,
        multiple: i64,
        longest_gap: i64,
        mut each: impl FnMut(usize, &T::Span),
    ) {
        let mut span = T::Span::EMPTY;
        if self.multiple == multiple {
            let end = self.rolled.partition_point(|&(number, _)| number < head);
            let mut older = self.rolled[..end].iter().rev().peekable();
            for (index, length) in windows.enumerate() {
                while let Some((_, rolled)) = older.next_if(|&&(number, _)| number >= head - length) {
                    span.join(rolled, longest_gap);
                }
                each(index, &span);
            }
        } else {
            let mut end = self.tiles.partition_point(|&(number, _)| number < head * multiple);
            for (index, length) in windows.enumerate() {
                while let Some(newest) = self.tiles[..end].last().map(|tile| tile.0.div_euclid(multiple))
                    && newest >= head - length
                {
                    let start = self.tiles[..end].partition_point(|tile| tile.0.div_euclid(multiple) < newest);
                    span.join(&join_back::<T>(&self.tiles[start..end], longest_gap), longest_gap);
                    end = start;
                }
                each(index, &span);
            }
        }
    }

    /// Consecutive stretches of `length` tiles back from interval `head`, each for itself, newest first.
    #[inline]
    pub(crate) fn steps(
        &self,
        head: i64,
        length: i64,
        steps: usize,
        longest_gap: i64,
        mut each: impl FnMut(usize, &T::Span),
    ) {
        let mut end = self.tiles.partition_point(|&(number, _)| number < head);
        let mut from = head;
        for step in 0..steps {
            from -= length;
            let mut span = T::Span::EMPTY;
            while let Some((_, tile)) = self.tiles[..end].last().filter(|tile| tile.0 >= from) {
                span.join(&tile.span(), longest_gap);
                end -= 1;
            }
            each(step, &span);
        }
    }

    /// One roll-up.
    pub(crate) fn rolled_at(&self, number: i64, multiple: i64, longest_gap: i64) -> T::Span {
        if self.multiple == multiple {
            let found = self.rolled.binary_search_by_key(&number, |&(at, _)| at);
            return found.map_or(T::Span::EMPTY, |index| self.rolled[index].1);
        }
        let start = self.tiles.partition_point(|&(at, _)| at < number * multiple);
        let end = self.tiles.partition_point(|&(at, _)| at < (number + 1) * multiple);
        join_back::<T>(&self.tiles[start..end], longest_gap)
    }
}

/// Tiles joined newest to oldest.
fn join_back<T: TileKind>(tiles: &[(i64, T)], longest_gap: i64) -> T::Span {
    let mut span = T::Span::EMPTY;
    for (_, tile) in tiles.iter().rev() {
        span.join(&tile.span(), longest_gap);
    }
    span
}

/// A track of any kind.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Series {
    Gauge(Track<GaugeTile>),
    Counter(Track<CounterTile>),
    Delta(Track<DeltaTile>),
    State(Track<StateTile>),
    Time(Track<TimeTile>),
}

/// Runs the same expression on the track inside, whatever its kind.
macro_rules! on_track {
    ($series:expr, $track:ident => $do:expr) => {
        match $series {
            $crate::window::series::Series::Gauge($track) => $do,
            $crate::window::series::Series::Counter($track) => $do,
            $crate::window::series::Series::Delta($track) => $do,
            $crate::window::series::Series::State($track) => $do,
            $crate::window::series::Series::Time($track) => $do,
        }
    };
}
pub(crate) use on_track;

impl Series {
    pub(super) fn empty(kind: MetricKind) -> Option<Self> {
        Some(match kind {
            MetricKind::Gauge => Self::Gauge(Track::default()),
            MetricKind::Counter => Self::Counter(Track::default()),
            MetricKind::Delta => Self::Delta(Track::default()),
            MetricKind::State => Self::State(Track::default()),
            MetricKind::Time => Self::Time(Track::default()),
            MetricKind::Info => return None,
        })
    }

    pub(super) fn roll(&mut self, multiple: i64, longest_gap: i64) {
        on_track!(self, track => track.roll(multiple, longest_gap));
    }

    pub(super) fn forget(&mut self, number: i64) {
        on_track!(self, track => track.forget(number));
    }

    pub(super) fn len(&self) -> usize {
        on_track!(self, track => track.tiles.len())
    }

    pub(super) fn tile(&self, index: usize) -> (i64, Tile) {
        match self {
            Self::Gauge(track) => (track.tiles[index].0, Tile::Gauge(track.tiles[index].1)),
            Self::Counter(track) => (track.tiles[index].0, Tile::Counter(track.tiles[index].1)),
            Self::Delta(track) => (track.tiles[index].0, Tile::Delta(track.tiles[index].1)),
            Self::State(track) => (track.tiles[index].0, Tile::State(track.tiles[index].1)),
            Self::Time(track) => (track.tiles[index].0, Tile::Time(track.tiles[index].1)),
        }
    }

    /// Sets the tile of an interval newer than all; `false` when it is not newer, or of another kind.
    pub(super) fn append(&mut self, number: i64, tile: &Tile) -> bool {
        if self.len() > 0 && self.tile(self.len() - 1).0 >= number {
            return false;
        }
        match (self, tile) {
            (Self::Gauge(track), Tile::Gauge(tile)) => *track.at(number) = *tile,
            (Self::Counter(track), Tile::Counter(tile)) => *track.at(number) = *tile,
            (Self::Delta(track), Tile::Delta(tile)) => *track.at(number) = *tile,
            (Self::State(track), Tile::State(tile)) => *track.at(number) = *tile,
            (Self::Time(track), Tile::Time(tile)) => *track.at(number) = *tile,
            _ => return false,
        }
        true
    }
}
