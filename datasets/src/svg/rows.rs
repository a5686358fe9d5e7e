//! One named row per thing: bars or dots along a shared axis, with intervals where there are any.

use std::fmt::Write;

use super::axis::Axis;
use super::escape;
use super::look::{Look, marker};

const WIDTH: f64 = 410.0;
const LEFT: f64 = 150.0;
const RIGHT: f64 = 14.0;
const TOP: f64 = 8.0;
const ROW: f64 = 20.0;
const BOTTOM: f64 = 42.0;
/// Characters of a label that fit to the left of the axis.
const LABEL: usize = 22;

/// A chart of named rows.
#[derive(Debug, Clone)]
pub struct Rows {
    title: String,
    axis: Axis,
    marks: String,
    labels: Vec<String>,
    reference: Option<f64>,
}

impl Rows {
    /// Rows along this axis, from top to bottom in the order they are added.
    #[must_use]
    pub fn new(title: &str, axis: Axis) -> Self {
        Self { title: title.to_owned(), axis, marks: String::new(), labels: Vec::new(), reference: None }
    }

    /// A vertical line behind the rows.
    pub fn reference(&mut self, at: f64) {
        self.reference = Some(at).filter(|at| at.is_finite());
    }

    /// A bar between two values; ends that are not finite leave the row empty.
    pub fn bar(&mut self, label: &str, from: f64, to: f64, interval: Option<(f64, f64)>, look: &Look) {
        let y = self.next(label);
        if !(from.is_finite() && to.is_finite()) {
            return;
        }
        let (a, b) = (self.px(from.min(to)), self.px(from.max(to)));
        let _ = write!(
            self.marks,
            r#"<rect class="r {}" x="{a:.1}" y="{:.1}" width="{:.1}" height="12"/>"#,
            look.class,
            y - 6.0,
            (b - a).max(0.8)
        );
        self.whisker(interval, y, "ink");
    }

    /// A marker at a value.
    pub fn dot(&mut self, label: &str, at: f64, interval: Option<(f64, f64)>, look: &Look) {
        let y = self.next(label);
        if !at.is_finite() {
            return;
        }
        self.whisker(interval, y, &look.class);
        let shape = marker(look.marker.unwrap_or(0), self.px(at), y);
        let _ = write!(self.marks, r#"<path class="m {}" d="{shape}"/>"#, look.class);
    }

    fn next(&mut self, label: &str) -> f64 {
        self.labels.push(label.to_owned());
        #[expect(clippy::cast_precision_loss, reason = "a chart has few rows")]
        let row = self.labels.len() as f64 - 0.5;
        TOP + row * ROW
    }

    fn whisker(&mut self, interval: Option<(f64, f64)>, y: f64, class: &str) {
        if let Some((low, high)) = interval.filter(|(low, high)| low.is_finite() && high.is_finite()) {
            let (a, b) = (self.px(low), self.px(high));
            let _ = write!(self.marks, r#"<path class="w {class}" d="M{a:.1} {y:.1}H{b:.1}"/>"#);
        }
    }

    fn px(&self, value: f64) -> f64 {
        LEFT + self.axis.share(value) * (WIDTH - LEFT - RIGHT)
    }

    /// The chart as one `<svg>` element.
    #[must_use]
    pub fn render(&self) -> String {
        #[expect(clippy::cast_precision_loss, reason = "a chart has few rows")]
        let bottom = TOP + self.labels.len() as f64 * ROW;
        let (title, height, right) = (escape(&self.title), bottom + BOTTOM, WIDTH - RIGHT);
        let mut out = format!(
            r#"<svg viewBox="0 0 {WIDTH:.0} {height:.0}" role="img" aria-label="{title}"><title>{title}</title>"#
        );
        let (ticks, decimals) = self.axis.ticks(4.0);
        for tick in ticks {
            let x = self.px(tick);
            let _ = write!(out, r#"<path class="g" d="M{x:.1} {TOP:.1}V{bottom:.1}"/>"#);
            let _ = write!(out, r#"<text class="n" x="{x:.1}" y="{:.1}">{tick:.decimals$}</text>"#, bottom + 15.0);
        }
        if let Some(at) = self.reference {
            let x = self.px(at);
            let _ = write!(out, r#"<path class="a" d="M{x:.1} {TOP:.1}V{bottom:.1}"/>"#);
        }
        out.push_str(&self.marks);
        for (row, label) in self.labels.iter().enumerate() {
            #[expect(clippy::cast_precision_loss, reason = "a chart has few rows")]
            let y = TOP + (row as f64 + 0.5) * ROW + 4.0;
            let _ = write!(out, r#"<text class="e" x="{:.1}" y="{y:.1}">{}</text>"#, LEFT - 6.0, shortened(label));
        }
        let middle = f64::midpoint(LEFT, right);
        let _ = write!(
            out,
            r#"<path class="a" d="M{LEFT:.1} {bottom:.1}H{right:.1}"/><text class="n" x="{middle:.1}" y="{:.1}">{}</text></svg>"#,
            bottom + 33.0,
            escape(&self.axis.label)
        );
        out
    }
}

/// A label that fits, its whole text shown when pointed at.
pub(super) fn shortened(label: &str) -> String {
    if label.chars().count() <= LABEL {
        return escape(label);
    }
    // The end of a name tells columns of one metric apart.
    let characters: Vec<char> = label.chars().collect();
    let head: String = characters.iter().take(LABEL / 2).collect();
    let tail: String = characters[characters.len() - (LABEL - LABEL / 2 - 1)..].iter().collect();
    format!("<title>{}</title>{}…{}", escape(label), escape(&head), escape(&tail))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_stay_inside_the_frame_and_hold_no_word_for_no_number() {
        let mut rows = Rows::new("t", Axis::new("x", -1.0, 1.0));
        rows.reference(f64::NAN);
        rows.bar("a<b", 0.0, 7.0, Some((0.5, f64::INFINITY)), &Look::series(0));
        rows.bar("gone", f64::NAN, 1.0, None, &Look::series(0));
        rows.dot("a name much longer than fits beside it", 0.5, Some((0.4, 0.6)), &Look::series(1));
        let svg = rows.render();
        assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
        assert!(svg.contains("a&lt;b") && svg.contains('…'), "{svg}");
        assert!((rows.px(7.0) - (WIDTH - RIGHT)).abs() < 1e-9);
        assert_eq!(svg.matches("<rect").count(), 1);
    }
}
