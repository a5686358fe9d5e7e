//! How a series looks: colour for most, dash and marker for everybody.

/// Colour, dash pattern and marker of one series.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Look {
    pub(super) class: String,
    pub(super) dash: &'static str,
    pub(super) marker: Option<usize>,
}

impl Look {
    /// One of several unordered series.
    #[must_use]
    pub fn series(index: usize) -> Self {
        const DASHES: [&str; 6] = ["", "8 3", "2 3", "10 3 2 3", "5 2", "14 4"];
        Self { class: format!("c{}", index % 6), dash: DASHES[index % 6], marker: Some(index) }
    }

    /// One of up to four ordered shades, the palest first.
    #[must_use]
    pub fn shade(index: usize) -> Self {
        Self { class: format!("q{}", index.min(3)), dash: "", marker: Some(index) }
    }

    /// The colour of the text.
    #[must_use]
    pub fn ink() -> Self {
        Self { class: "ink".to_owned(), dash: "", marker: None }
    }

    /// A line of reference that stays behind the data.
    #[must_use]
    pub fn reference() -> Self {
        Self { class: "faint".to_owned(), dash: "4 3", marker: None }
    }

    /// The same, dashed and without markers.
    #[must_use]
    pub fn dashed(mut self) -> Self {
        self.dash = "5 3";
        self.marker = None;
        self
    }

    /// Shifts the markers of one series against those of the others, from 0 to 1.
    pub(super) fn offset(&self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "a handful of series")]
        let index = self.marker.unwrap_or(0) as f64;
        (index * 0.27).fract()
    }
}

/// The attribute, or nothing for an unbroken line.
pub(super) fn dash_attribute(dash: &str) -> String {
    if dash.is_empty() { String::new() } else { format!(r#" stroke-dasharray="{dash}""#) }
}

/// Disc, square, triangle, diamond, triangle downwards, bar: told apart without colour.
pub(super) fn marker(shape: usize, x: f64, y: f64) -> String {
    match shape % 6 {
        0 => format!("M{:.1} {y:.1}a4 4 0 1 0 8 0a4 4 0 1 0 -8 0z", x - 4.0),
        1 => format!("M{:.1} {:.1}h7v7h-7z", x - 3.5, y - 3.5),
        2 => format!("M{x:.1} {:.1}l4.6 8h-9.2z", y - 5.0),
        3 => format!("M{x:.1} {:.1}l5 5l-5 5l-5 -5z", y - 5.0),
        4 => format!("M{x:.1} {:.1}l4.6 -8h-9.2z", y + 5.0),
        _ => format!("M{:.1} {:.1}h3v11h-3z", x - 1.5, y - 5.5),
    }
}
