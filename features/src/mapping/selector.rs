//! PromQL series selectors as mapping rows use them.

use promql_parser::label::{MatchOp, Matcher};
use promql_parser::parser::{self, Expr};

use crate::labels::Labels;

/// Characters that make a regular expression more than a list of words.
const REGEX_SYNTAX: &[char] = &['\\', '.', '+', '*', '?', '(', ')', '[', ']', '{', '}', '^', '$'];

/// Which metric a selector asks for.
#[derive(Debug, Clone)]
pub(super) enum Name {
    /// Exactly this one: found by hash.
    Exact(String),
    /// Every metric whose name this holds for: looked at one by one.
    Pattern(Matcher),
}

/// A metric name and conditions on labels.
#[derive(Debug, Clone)]
pub(super) struct Selector {
    pub(super) name: Name,
    matchers: Vec<Matcher>,
}

impl Selector {
    /// Reads `name{label="value",other=~"a|b"}`; the name may be a pattern on `__name__`.
    ///
    /// # Errors
    /// Why the text selects no series.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let expression = match dotted_name(text) {
            // Names of OpenTelemetry hold dots, which the grammar takes only as the label __name__.
            Some(rewritten) => parser::parse(&rewritten),
            None => parser::parse(text),
        };
        let selector = match expression {
            Ok(Expr::VectorSelector(selector)) => selector,
            Ok(_) => return Err("is an expression, not a series selector".to_owned()),
            Err(error) => return Err(format!("cannot be read: {error}")),
        };
        if selector.offset.is_some() || selector.at.is_some() || !selector.matchers.or_matchers.is_empty() {
            return Err("has an offset, @ or `or`, which mean nothing for a row that arrives".to_owned());
        }
        let mut matchers = selector.matchers.matchers;
        let on_name = matchers.iter().position(|m| m.name == "__name__").map(|at| matchers.remove(at));
        let name = match (selector.name, on_name) {
            (Some(name), _) => Name::Exact(name),
            (None, Some(matcher)) if matcher.op == MatchOp::Equal => Name::Exact(matcher.value),
            (None, Some(matcher)) if matches!(matcher.op, MatchOp::Re(_)) => Name::Pattern(matcher),
            (None, _) => return Err("names no metric; an allow-list needs names".to_owned()),
        };
        Ok(Self { name, matchers })
    }

    /// The same selector under the names that a Prometheus gives to those of OpenTelemetry; the metric's name is
    /// handed in, since it depends on unit and kind.
    pub(super) fn renamed(&self, name: &str) -> Self {
        let mut matchers = self.matchers.clone();
        for matcher in &mut matchers {
            matcher.name = underscored(&matcher.name);
        }
        Self { name: Name::Exact(name.to_owned()), matchers }
    }

    /// Whether the conditions hold, the name's included.
    pub(super) fn holds(&self, labels: &Labels) -> bool {
        let named = match &self.name {
            Name::Exact(name) => name == labels.name(),
            Name::Pattern(matcher) => matcher.is_match(labels.name()),
        };
        named && self.matchers.iter().all(|matcher| matcher.is_match(labels.get(&matcher.name)))
    }

    /// Whether surely no series satisfies both: the name or a label has values that the other forbids. Two
    /// patterns that are no plain lists of words count as overlapping.
    pub(super) fn disjoint(&self, other: &Self) -> bool {
        let names = match (&self.name, &other.name) {
            (Name::Exact(a), Name::Exact(b)) => a != b,
            (Name::Exact(exact), Name::Pattern(pattern)) | (Name::Pattern(pattern), Name::Exact(exact)) => {
                !pattern.is_match(exact)
            }
            (Name::Pattern(a), Name::Pattern(b)) => excludes(a, b),
        };
        let label = |x: &Matcher| other.matchers.iter().any(|y| x.name == y.name && excludes(x, y));
        names || self.matchers.iter().any(label)
    }
}

/// Whether surely no value satisfies both matchers.
fn excludes(a: &Matcher, b: &Matcher) -> bool {
    let none_holds = |values: Option<Vec<String>>, other: &Matcher| {
        values.is_some_and(|values| !values.iter().any(|value| other.is_match(value)))
    };
    none_holds(values(a), b) || none_holds(values(b), a)
}

/// The values a matcher allows, where they can be counted: an equality, or a pattern that is a list of words.
fn values(matcher: &Matcher) -> Option<Vec<String>> {
    match &matcher.op {
        MatchOp::Equal => Some(vec![matcher.value.clone()]),
        MatchOp::Re(_) if !matcher.value.contains(REGEX_SYNTAX) => {
            Some(matcher.value.split('|').map(str::to_owned).collect())
        }
        _ => None,
    }
}

/// `a.b{…}` as `{__name__="a.b",…}`.
fn dotted_name(text: &str) -> Option<String> {
    let (name, rest) = text.split_at(text.find('{').unwrap_or(text.len()));
    let name = name.trim();
    if !name.contains('.') || name.contains('"') {
        return None;
    }
    let rest = rest.trim();
    let inner = if rest.is_empty() { "" } else { rest.strip_prefix('{')?.strip_suffix('}')? };
    Some(format!("{{__name__=\"{name}\",{inner}}}"))
}

/// A name as Prometheus allows it: every other character becomes an underscore.
pub(super) fn underscored(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_alphanumeric() || c == '_' || c == ':' { c } else { '_' }).collect()
}
