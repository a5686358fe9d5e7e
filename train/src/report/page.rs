//! Pieces of HTML that several parts of the page share.

use super::number::GAP;
use crate::svg::escape;

/// Escaped text.
pub(super) fn text(value: &str) -> String {
    escape(value)
}

/// A number as people set it: a true minus instead of a hyphen.
pub(super) fn number(value: &str) -> String {
    escape(&value.replace('-', "−"))
}

/// Where there is no number, and why when pointed at.
pub(super) fn gap(why: &str) -> String {
    format!("<abbr class=\"gap\" title=\"{}\">{GAP}</abbr>", escape(why))
}

/// How the panels of a figure stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Layout {
    /// One drawing.
    Alone,
    /// Equals beside each other.
    Equal,
    /// The first large, the others small below it.
    Led,
}

/// Named drawings under one heading with one caption.
pub(super) fn figure(title: &str, layout: Layout, panels: &[(String, String)], caption: &str) -> String {
    let mut body = String::new();
    for (name, drawing) in panels {
        let heading = if name.is_empty() { String::new() } else { format!("<h4>{}</h4>", escape(name)) };
        body.push_str(&format!("<div class=\"panel\">{heading}{drawing}</div>"));
    }
    let class = match layout {
        Layout::Alone => "alone",
        Layout::Equal => "panels",
        Layout::Led => "panels led",
    };
    format!(
        "<figure><h3>{}</h3><div class=\"{class}\">{body}</div><figcaption>{}</figcaption></figure>\n",
        escape(title),
        escape(caption)
    )
}

/// Says that a figure is missing and why, rather than leaving a reader to wonder.
pub(super) fn absent(title: &str, why: &str) -> String {
    format!("<figure><h3>{}</h3><p class=\"note\">Not drawn: {}.</p></figure>\n", escape(title), escape(why))
}
