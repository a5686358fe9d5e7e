//! Model cards to HTML: headings, lists, paragraphs, tables, code, emphasis. Everything else stays text.
//!
//! Cards are written by this program or by people beside it; a link or raw HTML in one is shown as it was typed,
//! so a card cannot make the page load anything.

use datasets::svg::escape;

/// What the lines so far belong to.
#[derive(Debug, PartialEq, Eq)]
enum Block {
    None,
    Paragraph,
    Bullets,
    Numbers,
    Table,
}

impl Block {
    fn open(&self) -> &'static str {
        match self {
            Self::None => "",
            Self::Paragraph => "<p>",
            Self::Bullets => "<ul>",
            Self::Numbers => "<ol>",
            Self::Table => "<div class=\"scroll\"><table>",
        }
    }

    fn close(&self) -> &'static str {
        match self {
            Self::None => "",
            Self::Paragraph => "</p>\n",
            Self::Bullets => "</ul>\n",
            Self::Numbers => "</ol>\n",
            Self::Table => "</table></div>\n",
        }
    }
}

/// The card as HTML, its headings two levels down so that they sit inside the page's own.
pub(super) fn html(markdown: &str) -> String {
    let mut out = String::new();
    let mut block = Block::None;
    let mut lines = without_front_matter(markdown).lines();
    while let Some(line) = lines.next() {
        let text = line.trim();
        if text.starts_with("```") {
            turn(&mut out, &mut block, Block::None);
            let code: Vec<&str> = lines.by_ref().take_while(|line| !line.trim().starts_with("```")).collect();
            out.push_str(&format!("<pre><code>{}</code></pre>\n", escape(&code.join("\n"))));
        } else if text.is_empty() {
            turn(&mut out, &mut block, Block::None);
        } else if let Some((level, heading)) = heading(text) {
            turn(&mut out, &mut block, Block::None);
            let level = (level + 2).min(6);
            out.push_str(&format!("<h{level}>{}</h{level}>\n", inline(heading)));
        } else if let Some(item) = text.strip_prefix("- ").or_else(|| text.strip_prefix("* ")) {
            turn(&mut out, &mut block, Block::Bullets);
            out.push_str(&format!("<li>{}</li>", inline(item)));
        } else if let Some(item) = numbered(text) {
            turn(&mut out, &mut block, Block::Numbers);
            out.push_str(&format!("<li>{}</li>", inline(item)));
        } else if text.starts_with('|') {
            let first = block != Block::Table;
            turn(&mut out, &mut block, Block::Table);
            out.push_str(&table_row(text, first));
        } else if block == Block::Bullets || block == Block::Numbers {
            // A wrapped line belongs to the item above it.
            let end = out.len() - "</li>".len();
            out.insert_str(end, &format!(" {}", inline(text)));
        } else {
            if block == Block::Paragraph {
                out.push('\n');
            }
            turn(&mut out, &mut block, Block::Paragraph);
            out.push_str(&inline(text));
        }
    }
    turn(&mut out, &mut block, Block::None);
    out
}

fn turn(out: &mut String, block: &mut Block, next: Block) {
    if *block != next {
        out.push_str(block.close());
        out.push_str(next.open());
        *block = next;
    }
}

/// A header for catalogues between two `---` lines is not for people.
fn without_front_matter(markdown: &str) -> &str {
    markdown.strip_prefix("---\n").and_then(|rest| rest.split_once("\n---\n")).map_or(markdown, |(_, body)| body)
}

fn heading(text: &str) -> Option<(usize, &str)> {
    let level = text.chars().take_while(|&c| c == '#').count();
    let rest = text[level..].strip_prefix(' ')?;
    (1..=6).contains(&level).then_some((level, rest))
}

fn numbered(text: &str) -> Option<&str> {
    let (number, item) = text.split_once(". ")?;
    (!number.is_empty() && number.len() <= 3 && number.chars().all(|c| c.is_ascii_digit())).then_some(item)
}

fn table_row(text: &str, header: bool) -> String {
    let cells: Vec<&str> = text.trim_matches('|').split('|').map(str::trim).collect();
    if cells.iter().all(|cell| !cell.is_empty() && cell.chars().all(|c| c == '-' || c == ':')) {
        return String::new();
    }
    let tag = if header { "th" } else { "td" };
    let cells: String = cells.into_iter().map(|cell| format!("<{tag}>{}</{tag}>", inline(cell))).collect();
    format!("<tr>{cells}</tr>")
}

/// Code between backticks, strong text between double asterisks; a mark without its partner stays as typed.
fn inline(text: &str) -> String {
    let pieces: Vec<&str> = text.split('`').collect();
    let mut out = String::new();
    for (index, piece) in pieces.iter().enumerate() {
        let last = index + 1 == pieces.len();
        if index % 2 == 1 && !last {
            out.push_str(&format!("<code>{}</code>", escape(piece)));
        } else if index % 2 == 1 {
            out.push_str(&format!("`{}", strong(piece)));
        } else {
            out.push_str(&strong(piece));
        }
    }
    out
}

fn strong(text: &str) -> String {
    let pieces: Vec<String> = text.split("**").map(escape).collect();
    let mut out = String::new();
    for (index, piece) in pieces.iter().enumerate() {
        let last = index + 1 == pieces.len();
        if index % 2 == 1 && !last {
            out.push_str(&format!("<strong>{piece}</strong>"));
        } else if index % 2 == 1 {
            out.push_str(&format!("**{piece}"));
        } else {
            out.push_str(piece);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_card_becomes_headings_lists_tables_and_code() {
        let card = "---\nname: x\n---\n# Card\n\nTwo\nlines.\n\n- one **two**\n  more\n- `a<b`\n\n1. first\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n```\n<x>\n```\n";
        let page = html(card);
        assert_eq!(
            page,
            "<h3>Card</h3>\n<p>Two\nlines.</p>\n<ul><li>one <strong>two</strong> more</li><li><code>a&lt;b</code></li></ul>\n\
             <ol><li>first</li></ol>\n<div class=\"scroll\"><table><tr><th>a</th><th>b</th></tr><tr><td>1</td><td>2</td></tr>\
             </table></div>\n<pre><code>&lt;x&gt;</code></pre>\n"
        );
    }

    #[test]
    fn html_in_a_card_is_shown_and_marks_without_partner_stay() {
        assert_eq!(html("<script>alert(1)</script>"), "<p>&lt;script&gt;alert(1)&lt;/script&gt;</p>\n");
        assert_eq!(html("a ` b ** c"), "<p>a ` b ** c</p>\n");
        assert_eq!(html("```\nnever closed"), "<pre><code>never closed</code></pre>\n");
    }
}
