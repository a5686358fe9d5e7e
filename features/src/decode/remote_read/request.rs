//! What a remote read is asked for.

use prost::Message as _;
use proto::prometheus::read_request::ResponseType;
use proto::prometheus::{LabelMatcher, Query, ReadRequest, label_matcher};

/// How a matcher compares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MatchKind {
    /// `=`.
    Equal,
    /// `!=`.
    NotEqual,
    /// `=~`, anchored at both ends.
    Regex,
    /// `!~`, anchored at both ends.
    NotRegex,
}

/// One matcher of a query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Matcher {
    /// How it compares.
    pub kind: MatchKind,
    /// Label.
    pub name: String,
    /// Value or expression.
    pub value: String,
}

/// Encodes `prometheus.ReadRequest` for one query over `from..=until` milliseconds; it travels in one snappy block.
///
/// `streamed` asks for chunks and allows samples, so that a server that cannot stream still answers; what came is said
/// by the content type of the answer.
#[must_use]
pub fn request(from: i64, until: i64, matchers: &[Matcher], streamed: bool) -> Vec<u8> {
    let matchers = matchers.iter().map(|matcher| LabelMatcher {
        r#type: match matcher.kind {
            MatchKind::Equal => label_matcher::Type::Eq,
            MatchKind::NotEqual => label_matcher::Type::Neq,
            MatchKind::Regex => label_matcher::Type::Re,
            MatchKind::NotRegex => label_matcher::Type::Nre,
        } as i32,
        name: matcher.name.clone(),
        value: matcher.value.clone(),
    });
    let query = Query { start_timestamp_ms: from, end_timestamp_ms: until, matchers: matchers.collect() };
    let forms: &[ResponseType] =
        if streamed { &[ResponseType::StreamedXorChunks, ResponseType::Samples] } else { &[ResponseType::Samples] };
    let accepted_response_types = forms.iter().map(|&form| form as i32).collect();
    ReadRequest { queries: vec![query], accepted_response_types }.encode_to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_those_of_the_protocol() {
        let matcher = Matcher { kind: MatchKind::Regex, name: "a".to_owned(), value: "b|c".to_owned() };
        // Worked out by hand: queries (1) of 16 bytes: start (1) 300, end (2) 5, matchers (3) of 10 bytes: type (1) RE,
        // name (2), value (3); then accepted_response_types (2), packed: 1, 0.
        let expected = [
            0x0a, 17, 0x08, 0xac, 0x02, 0x10, 5, 0x1a, 10, 0x08, 2, 0x12, 1, b'a', 0x1a, 3, b'b', b'|', b'c', 0x12, 2,
            1, 0,
        ];
        let matchers = [matcher];
        assert_eq!(request(300, 5, &matchers, true), expected);
        let plain = request(300, 5, &matchers, false);
        assert_eq!(plain[..19], expected[..19]);
        assert_eq!(plain[19..], [0x12, 1, 0]);
    }
}
