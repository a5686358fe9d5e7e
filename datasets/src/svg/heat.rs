//! A table of signed numbers as cells: the stronger the fuller, a bar across those below zero.

use std::fmt::Write;

use super::escape;
use super::rows::shortened;

const WIDTH: f64 = 410.0;
const LEFT: f64 = 150.0;
const RIGHT: f64 = 14.0;
const TOP: f64 = 8.0;
const ROW: f64 = 20.0;
const BOTTOM: f64 = 42.0;

/// Cells in named rows.
#[derive(Debug, Clone)]
pub struct Heat {
    title: String,
    /// What runs along the columns.
    along: String,
    /// What stands under the first and the last column.
    ends: (String, String),
    rows: Vec<(String, Vec<f64>)>,
}

impl Heat {
    /// A table without rows; `along` says what its columns are, `ends` names the first and the last.
    #[must_use]
    pub fn new(title: &str, along: &str, ends: (&str, &str)) -> Self {
        Self {
            title: title.to_owned(),
            along: along.to_owned(),
            ends: (ends.0.to_owned(), ends.1.to_owned()),
            rows: Vec::new(),
        }
    }

    /// Adds a row.
    pub fn row(&mut self, label: &str, values: &[f64]) {
        self.rows.push((label.to_owned(), values.to_vec()));
    }

    /// The table as one `<svg>` element.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "a table has few rows and columns")]
    pub fn render(&self) -> String {
        let bottom = TOP + self.rows.len() as f64 * ROW;
        let (title, height, right) = (escape(&self.title), bottom + BOTTOM, WIDTH - RIGHT);
        let mut out = format!(
            r#"<svg viewBox="0 0 {WIDTH:.0} {height:.0}" role="img" aria-label="{title}"><title>{title}</title>"#
        );
        let values = || self.rows.iter().flat_map(|(_, values)| values).filter(|v| v.is_finite());
        let most = values().fold(0.0_f64, |top, v| top.max(v.abs()));
        for (at, (label, values)) in self.rows.iter().enumerate() {
            let y = TOP + at as f64 * ROW;
            let _ = write!(
                out,
                r#"<text class="e" x="{:.1}" y="{:.1}">{}</text>"#,
                LEFT - 6.0,
                y + ROW / 2.0 + 4.0,
                shortened(label)
            );
            let width = (right - LEFT) / values.len().max(1) as f64;
            for (column, &value) in values.iter().enumerate() {
                let share = if most > 0.0 && value.is_finite() { value.abs() / most } else { 0.0 };
                // Cells that would not be seen are not drawn: a page of them is no smaller for being empty.
                if share < 0.01 {
                    continue;
                }
                let x = LEFT + column as f64 * width;
                let class = if value < 0.0 { "c1" } else { "c0" };
                let _ = write!(
                    out,
                    r#"<rect class="{class} h" x="{x:.1}" y="{:.1}" width="{width:.2}" height="{:.1}" fill-opacity="{share:.2}"/>"#,
                    y + 1.0,
                    ROW - 2.0
                );
                if value < 0.0 {
                    let middle = y + ROW / 2.0;
                    let _ = write!(out, r#"<path class="g" d="M{x:.1} {middle:.1}h{width:.2}"/>"#);
                }
            }
        }
        let below = bottom + 15.0;
        let _ = write!(
            out,
            r#"<path class="a" d="M{LEFT:.1} {TOP:.1}V{bottom:.1}H{right:.1}"/><text x="{LEFT:.1}" y="{below:.1}">{}</text>"#,
            escape(&self.ends.0)
        );
        let _ = write!(out, r#"<text class="e" x="{right:.1}" y="{below:.1}">{}</text>"#, escape(&self.ends.1));
        let middle = f64::midpoint(LEFT, right);
        let _ = write!(
            out,
            r#"<text class="n" x="{middle:.1}" y="{:.1}">{}</text></svg>"#,
            bottom + 33.0,
            escape(&self.along)
        );
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faint_cells_are_left_out_and_negative_ones_are_crossed() {
        let mut heat = Heat::new("t", "steps", ("old", "new"));
        heat.row("a", &[1.0, -0.5, 0.001, f64::NAN]);
        heat.row("b", &[]);
        let svg = heat.render();
        assert!(!svg.contains("NaN"), "{svg}");
        assert_eq!(svg.matches("<rect").count(), 2);
        assert_eq!(svg.matches("class=\"g\"").count(), 1);
    }
}
