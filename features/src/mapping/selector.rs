//! PromQL series selectors as mapping rows use them.

use promql_parser::label::{MatchOp, Matcher};
use promql_parser::parser::{self, Expr};

use crate::labels::Labels;

/// A metric name and conditions on labels.
#[derive(Debug, Clone)]
pub(super) struct Selector {
    pub(super) name: String,
    matchers: Vec<Matcher>,
}

impl Selector {
    /// Reads `name{label="value",other=~"a|b"}`.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let refuse = |why: &str| format!("select {text:?} {why}");
        let expression = match quoted_name(text) {
            // Names of OpenTelemetry hold dots, which the grammar takes only as the label __name__.
            Some(rewritten) => parser::parse(&rewritten),
            None => parser::parse(text),
        };
        let selector = match expression {
            Ok(Expr::VectorSelector(selector)) => selector,
            Ok(_) => return Err(refuse("is an expression, not a series selector")),
            Err(error) => return Err(refuse(&format!("cannot be read: {error}"))),
        };
        if selector.offset.is_some() || selector.at.is_some() || !selector.matchers.or_matchers.is_empty() {
            return Err(refuse("has an offset, @ or `or`, which mean nothing for a row that arrives"));
        }
        let mut matchers = selector.matchers.matchers;
        let named = matchers.iter().position(|m| m.name == "__name__" && m.op == MatchOp::Equal);
        let name = match (selector.name, named) {
            (Some(name), _) => name,
            (None, Some(at)) => matchers.remove(at).value,
            (None, None) => return Err(refuse("names no metric; an allow-list needs names")),
        };
        Ok(Self { name, matchers })
    }

    /// Whether the conditions hold; the name has been looked up before.
    pub(super) fn holds(&self, labels: &Labels) -> bool {
        self.matchers.iter().all(|matcher| matcher.is_match(labels.get(&matcher.name)))
    }

    /// Whether no series can satisfy both: some label must equal what the other forbids.
    pub(super) fn disjoint(&self, other: &Self) -> bool {
        let excludes = |a: &Self, b: &Self| {
            a.matchers
                .iter()
                .filter(|x| x.op == MatchOp::Equal)
                .any(|x| b.matchers.iter().any(|y| y.name == x.name && !y.is_match(&x.value)))
        };
        excludes(self, other) || excludes(other, self)
    }
}

/// `a.b{…}` as `{__name__="a.b",…}`.
fn quoted_name(text: &str) -> Option<String> {
    let (name, rest) = text.split_at(text.find('{').unwrap_or(text.len()));
    let name = name.trim();
    if !name.contains('.') || name.contains('"') {
        return None;
    }
    let inner = rest.trim().trim_start_matches('{').trim_end_matches('}');
    Some(format!("{{__name__=\"{name}\",{inner}}}"))
}
