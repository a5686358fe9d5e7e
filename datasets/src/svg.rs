//! A small plot kit: lines, steps, bands and dots with intervals on two axes, as inline SVG.
//!
//! Colours are CSS classes that the page defines, so one figure serves light, dark and paper. Dash pattern and
//! marker repeat what colour says, for eyes and printers without it.

mod axis;
mod heat;
mod look;
mod rows;

use std::fmt::Write;

pub use axis::Axis;
pub use heat::Heat;
pub use look::Look;
use look::{dash_attribute, marker};
pub use rows::Rows;

/// Text that is safe between tags and inside quoted attributes.
#[must_use]
pub fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            _ => out.push(c),
        }
    }
    out
}

/// What a legend entry shows beside its label.
#[derive(Debug, Clone)]
enum Swatch {
    Line(Look),
    Dot(Look),
    Band(Look),
}

/// Two axes and what is drawn between them. Widths are chosen so that text stays legible at phone width.
#[derive(Debug, Clone)]
pub struct Plot {
    title: String,
    width: f64,
    height: f64,
    x: Axis,
    y: Axis,
    marks: String,
    legend: Vec<(Swatch, String)>,
}

const LEFT: f64 = 56.0;
const RIGHT: f64 = 14.0;
const TOP: f64 = 10.0;
const BOTTOM: f64 = 44.0;
const LEGEND_ROW: f64 = 19.0;
/// A generous mean width of a character of 12 units in a sans-serif face.
const CHARACTER: f64 = 6.4;

impl Plot {
    /// A figure of its own.
    #[must_use]
    pub fn wide(title: &str, x: Axis, y: Axis) -> Self {
        Self::sized(title, 410.0, 280.0, x, y)
    }

    /// One of several beside each other.
    #[must_use]
    pub fn small(title: &str, x: Axis, y: Axis) -> Self {
        Self::sized(title, 330.0, 250.0, x, y)
    }

    fn sized(title: &str, width: f64, height: f64, x: Axis, y: Axis) -> Self {
        Self { title: title.to_owned(), width, height, x, y, marks: String::new(), legend: Vec::new() }
    }

    fn px(&self, x: f64) -> f64 {
        LEFT + self.x.share(x) * (self.width - LEFT - RIGHT)
    }

    fn py(&self, y: f64) -> f64 {
        self.height - BOTTOM - self.y.share(y) * (self.height - TOP - BOTTOM)
    }

    /// Straight lines between the points; a point that is not finite leaves a gap.
    pub fn line(&mut self, points: &[[f64; 2]], look: &Look) {
        self.path(points, look, false);
    }

    /// Each value holds until the next point.
    pub fn steps(&mut self, points: &[[f64; 2]], look: &Look) {
        self.path(points, look, true);
    }

    fn path(&mut self, points: &[[f64; 2]], look: &Look, stepped: bool) {
        let mut data = String::new();
        let mut pen_down = false;
        for &[x, y] in points {
            if !(x.is_finite() && y.is_finite()) {
                pen_down = false;
                continue;
            }
            let (px, py) = (self.px(x), self.py(y));
            let _ = match (pen_down, stepped) {
                (false, _) => write!(data, "M{px:.1} {py:.1}"),
                (true, false) => write!(data, "L{px:.1} {py:.1}"),
                (true, true) => write!(data, "H{px:.1}V{py:.1}"),
            };
            pen_down = true;
        }
        if data.is_empty() {
            return;
        }
        let dash = dash_attribute(look.dash);
        let _ = write!(self.marks, r#"<path class="l {}"{dash} d="{data}"/>"#, look.class);
        self.markers_along(points, look);
    }

    /// A few markers, shifted per series so that equal curves still show all of theirs.
    fn markers_along(&mut self, points: &[[f64; 2]], look: &Look) {
        let Some(shape) = look.marker else { return };
        let mut last = usize::MAX;
        for slot in 0..5u8 {
            let target = self.x.low + (self.x.high - self.x.low) * (f64::from(slot) + 0.25 + 0.6 * look.offset()) / 5.0;
            let Some(index) = points.iter().rposition(|p| p[0] <= target && p[1].is_finite()) else { continue };
            if index != last {
                let (x, y) = (self.px(points[index][0]), self.py(points[index][1]));
                let _ = write!(self.marks, r#"<path class="m {}" d="{}"/>"#, look.class, marker(shape, x, y));
                last = index;
            }
        }
    }

    /// The area between two step curves over the same times: time, low, high.
    pub fn step_band(&mut self, points: &[[f64; 3]], look: &Look) {
        let finite: Vec<&[f64; 3]> = points.iter().filter(|p| p.iter().all(|v| v.is_finite())).collect();
        let mut corners = Vec::new();
        let mut back = Vec::new();
        for (index, p) in finite.iter().enumerate() {
            let end = finite.get(index + 1).map_or(p[0], |next| next[0]);
            corners.extend([[p[0], p[2]], [end, p[2]]]);
            back.extend([[p[0], p[1]], [end, p[1]]]);
        }
        corners.extend(back.into_iter().rev());
        let corners: Vec<String> =
            corners.into_iter().map(|[x, y]| format!("{:.1},{:.1}", self.px(x), self.py(y))).collect();
        if !corners.is_empty() {
            let _ = write!(self.marks, r#"<polygon class="b {}" points="{}"/>"#, look.class, corners.join(" "));
        }
    }

    /// The area between two lines over the same places: x, low, high.
    pub fn band(&mut self, points: &[[f64; 3]], look: &Look) {
        let finite: Vec<&[f64; 3]> = points.iter().filter(|p| p.iter().all(|v| v.is_finite())).collect();
        let above = finite.iter().map(|p| [p[0], p[2]]);
        let below = finite.iter().rev().map(|p| [p[0], p[1]]);
        let corners: Vec<String> =
            above.chain(below).map(|[x, y]| format!("{:.1},{:.1}", self.px(x), self.py(y))).collect();
        if !corners.is_empty() {
            let _ = write!(self.marks, r#"<polygon class="b {}" points="{}"/>"#, look.class, corners.join(" "));
        }
    }

    /// A bar from the foot of the frame up to a value.
    pub fn bar(&mut self, from: f64, to: f64, height: f64, look: &Look) {
        if !(from.is_finite() && to.is_finite() && height.is_finite()) {
            return;
        }
        let (left, right) = (self.px(from.min(to)), self.px(from.max(to)));
        let (top, foot) = (self.py(height), self.height - BOTTOM);
        let _ = write!(
            self.marks,
            r#"<rect class="r {}" x="{left:.1}" y="{top:.1}" width="{:.1}" height="{:.1}"/>"#,
            look.class,
            (right - left).max(0.5),
            foot - top
        );
    }

    /// A marker, with a vertical interval where both ends are finite.
    pub fn dot(&mut self, [x, y]: [f64; 2], interval: (f64, f64), look: &Look) {
        if !(x.is_finite() && y.is_finite()) {
            return;
        }
        let (px, py) = (self.px(x), self.py(y));
        if interval.0.is_finite() && interval.1.is_finite() {
            let (low, high) = (self.py(interval.0), self.py(interval.1));
            let _ = write!(self.marks, r#"<path class="w {}" d="M{px:.1} {low:.1}V{high:.1}"/>"#, look.class);
        }
        let shape = marker(look.marker.unwrap_or(0), px, py);
        let _ = write!(self.marks, r#"<path class="m {}" d="{shape}"/>"#, look.class);
    }

    /// Names a line.
    pub fn name_line(&mut self, look: &Look, label: &str) {
        self.legend.push((Swatch::Line(look.clone()), label.to_owned()));
    }

    /// Names markers with intervals.
    pub fn name_dot(&mut self, look: &Look, label: &str) {
        self.legend.push((Swatch::Dot(look.clone()), label.to_owned()));
    }

    /// Names a band.
    pub fn name_band(&mut self, look: &Look, label: &str) {
        self.legend.push((Swatch::Band(look.clone()), label.to_owned()));
    }

    /// The figure as one `<svg>` element.
    #[must_use]
    pub fn render(&self) -> String {
        let (legend, rows) = self.legend_marks();
        let height = self.height + rows * LEGEND_ROW;
        let title = escape(&self.title);
        let width = self.width;
        let mut out = format!(
            r#"<svg viewBox="0 0 {width:.0} {height:.0}" role="img" aria-label="{title}"><title>{title}</title>"#
        );
        self.frame(&mut out);
        out.push_str(&self.marks);
        out.push_str(&legend);
        out.push_str("</svg>");
        out
    }

    fn frame(&self, out: &mut String) {
        let (left, right, top, bottom) = (LEFT, self.width - RIGHT, TOP, self.height - BOTTOM);
        let (ticks, decimals) = self.y.ticks(5.0);
        for tick in ticks {
            let y = self.py(tick);
            let _ = write!(out, r#"<path class="g" d="M{left:.1} {y:.1}H{right:.1}"/>"#);
            let _ = write!(out, r#"<text class="e" x="{:.1}" y="{:.1}">{tick:.decimals$}</text>"#, left - 6.0, y + 4.0);
        }
        let (ticks, decimals) = self.x.ticks(if self.width > 400.0 { 6.0 } else { 5.0 });
        for tick in ticks {
            let x = self.px(tick);
            let _ = write!(out, r#"<path class="a" d="M{x:.1} {bottom:.1}v4"/>"#);
            let _ = write!(out, r#"<text class="n" x="{x:.1}" y="{:.1}">{tick:.decimals$}</text>"#, bottom + 17.0);
        }
        let _ = write!(out, r#"<path class="a" d="M{left:.1} {top:.1}V{bottom:.1}H{right:.1}"/>"#);
        let (middle, below) = (f64::midpoint(left, right), bottom + 35.0);
        let _ = write!(out, r#"<text class="n" x="{middle:.1}" y="{below:.1}">{}</text>"#, escape(&self.x.label));
        let y = f64::midpoint(top, bottom);
        let _ = write!(
            out,
            r#"<text class="n" transform="translate(13 {y:.1}) rotate(-90)" x="0" y="0">{}</text>"#,
            escape(&self.y.label)
        );
    }

    /// Entries flow into rows below the axis label.
    fn legend_marks(&self) -> (String, f64) {
        let mut out = String::new();
        let (mut x, mut row) = (8.0, 0.0);
        for (swatch, label) in &self.legend {
            #[expect(clippy::cast_precision_loss, reason = "a label has few characters")]
            let entry = 34.0 + label.chars().count() as f64 * CHARACTER + 10.0;
            if x > 8.0 && x + entry > self.width {
                x = 8.0;
                row += 1.0;
            }
            let y = self.height + row * LEGEND_ROW + 6.0;
            let middle = x + 13.0;
            let _ = match swatch {
                Swatch::Line(look) => {
                    let dash = dash_attribute(look.dash);
                    let shape = look.marker.map_or_else(String::new, |shape| marker(shape, middle, y));
                    write!(
                        out,
                        r#"<path class="l {0}"{dash} d="M{x:.1} {y:.1}h26"/><path class="m {0}" d="{shape}"/>"#,
                        look.class
                    )
                }
                Swatch::Dot(look) => write!(
                    out,
                    r#"<path class="w {0}" d="M{middle:.1} {1:.1}v14"/><path class="m {0}" d="{2}"/>"#,
                    look.class,
                    y - 7.0,
                    marker(look.marker.unwrap_or(0), middle, y)
                ),
                Swatch::Band(look) => write!(
                    out,
                    r#"<rect class="b {}" x="{x:.1}" y="{:.1}" width="26" height="11"/>"#,
                    look.class,
                    y - 5.5
                ),
            };
            let _ = write!(out, r#"<text x="{:.1}" y="{:.1}">{}</text>"#, x + 31.0, y + 4.0, escape(label));
            x += entry;
        }
        (out, if self.legend.is_empty() { 0.0 } else { row + 1.0 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_that_are_not_finite_leave_a_gap_and_no_text() {
        let mut plot = Plot::wide("t", Axis::new("x", f64::NAN, f64::INFINITY), Axis::new("y", 0.0, 1.0));
        plot.line(&[[0.0, 0.1], [0.5, f64::NAN], [1.0, f64::INFINITY], [1.0, 0.4]], &Look::series(0));
        plot.step_band(&[[0.0, f64::NAN, 1.0]], &Look::ink());
        plot.dot([0.5, 0.5], (f64::NAN, 1.0), &Look::series(1));
        let svg = plot.render();
        assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
        // Two strokes: the line is lifted over the gap.
        assert_eq!(svg.matches(r#"class="l c0""#).count(), 1);
    }

    #[test]
    fn values_beyond_the_axis_stay_inside_the_frame() {
        let plot = Plot::wide("t", Axis::new("x", 0.0, 1.0), Axis::new("y", 0.0, 1.0));
        assert!((plot.py(7.0) - TOP).abs() < 1e-9);
        assert!((plot.px(-3.0) - LEFT).abs() < 1e-9);
    }
}
