//! Pages that need nothing beside them: no script, nothing loaded from elsewhere, light and dark, screen and paper.

pub mod number;

use crate::svg::escape;
use number::GAP;

/// Colours, tables and figures of every page.
const STYLE: &str = include_str!("page/style.css");

/// A whole page around its body, which is HTML already.
#[must_use]
pub fn document(title: &str, body: &str) -> String {
    let title = escape(title);
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n<title>{title}</title>\n<style>\n{STYLE}</style>\n</head>\n\
         <body>\n<main>\n<h1>{title}</h1>\n{body}</main>\n</body>\n</html>\n"
    )
}

/// Escaped text.
#[must_use]
pub fn text(value: &str) -> String {
    escape(value)
}

/// A number as people set it: a true minus instead of a hyphen.
#[must_use]
pub fn signed(value: &str) -> String {
    escape(&value.replace('-', "−"))
}

/// Where there is no number, and why when pointed at.
#[must_use]
pub fn gap(why: &str) -> String {
    format!("<abbr class=\"gap\" title=\"{}\">{GAP}</abbr>", escape(why))
}

/// How the panels of a figure stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// One drawing.
    Alone,
    /// Equals beside each other.
    Equal,
    /// The first large, the others small below it.
    Led,
}

/// Named drawings under one heading with one caption.
#[must_use]
pub fn figure(title: &str, layout: Layout, panels: &[(String, String)], caption: &str) -> String {
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
#[must_use]
pub fn absent(title: &str, why: &str) -> String {
    format!("<figure><h3>{}</h3><p class=\"note\">Not drawn: {}.</p></figure>\n", escape(title), escape(why))
}
