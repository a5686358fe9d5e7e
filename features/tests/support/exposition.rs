//! A small reader of fixtures; the real decoders have tests of their own.

use features::Labels;

/// One sample of a fixture.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    pub(crate) labels: Labels,
    pub(crate) value: f64,
}

/// The rows of a fixture by its extension, with the labels of the target added where a row has none of that name.
pub(crate) fn rows(text: &str, extension: &str, target: &str) -> Vec<Row> {
    let target = pairs(target);
    let lines = text.lines().filter(|line| !line.starts_with('#') && !line.trim().is_empty());
    lines
        .flat_map(|line| match extension {
            "prom" => vec![prometheus(line)],
            "jsonl" => vec![otlp(line)],
            "influx" => telegraf(line),
            other => panic!("no reader for .{other}"),
        })
        .map(|(mut labels, value)| {
            for (name, value) in &target {
                if !labels.iter().any(|(known, _)| known == name) {
                    labels.push((name.clone(), value.clone()));
                }
            }
            Row { labels: Labels::try_new(labels).unwrap(), value }
        })
        .collect()
}

type Parsed = (Vec<(String, String)>, f64);

/// `name{label="value"} 1 timestamp`.
fn prometheus(line: &str) -> Parsed {
    let (head, tail) = match line.rfind('}') {
        Some(at) => (&line[..=at], &line[at + 1..]),
        None => line.split_once(' ').unwrap(),
    };
    let (name, inner) = head.split_once('{').map_or((head, ""), |(name, rest)| (name, rest.trim_end_matches('}')));
    let mut labels = pairs(inner);
    labels.push(("__name__".to_owned(), name.to_owned()));
    (labels, tail.split_whitespace().next().unwrap().parse().unwrap())
}

/// `a="b",c="d"`; fixtures hold no escapes.
fn pairs(text: &str) -> Vec<(String, String)> {
    let mut rest = text;
    let mut pairs = Vec::new();
    while let Some((name, tail)) = rest.split_once("=\"") {
        let (value, tail) = tail.split_once('"').unwrap();
        pairs.push((name.trim_start_matches(',').trim().to_owned(), value.to_owned()));
        rest = tail;
    }
    pairs
}

/// A data point with the attributes of its resource, names as they are.
fn otlp(line: &str) -> Parsed {
    let point: serde_json::Value = serde_json::from_str(line).unwrap();
    let mut labels = vec![("__name__".to_owned(), point["name"].as_str().unwrap().to_owned())];
    for attributes in [&point["resource"], &point["attributes"]] {
        for (name, value) in attributes.as_object().unwrap() {
            labels.push((name.clone(), value.as_str().unwrap().to_owned()));
        }
    }
    (labels, point["value"].as_f64().unwrap())
}

/// Line protocol as telegraf's Prometheus outputs name it with `string_as_label`: a series per number or boolean.
fn telegraf(line: &str) -> Vec<Parsed> {
    let mut words = line.split(' ');
    let (head, fields) = (words.next().unwrap(), words.next().unwrap());
    let mut head = head.split(',');
    let measurement = head.next().unwrap();
    let pair = |text: &str| text.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned())).unwrap();
    let mut labels: Vec<(String, String)> = head.map(pair).collect();
    let fields: Vec<(String, String)> = fields.split(',').map(pair).collect();
    let text = |value: &str| value.strip_prefix('"').and_then(|v| v.strip_suffix('"')).map(str::to_owned);
    labels.extend(fields.iter().filter_map(|(name, value)| Some((name.clone(), text(value)?))));
    let numbers = fields.iter().filter(|(_, value)| text(value).is_none());
    numbers
        .map(|(name, value)| {
            let mut labels = labels.clone();
            labels.push(("__name__".to_owned(), format!("{measurement}_{name}")));
            let number = match value.as_str() {
                "true" => 1.0,
                "false" => 0.0,
                number => number.trim_end_matches(['i', 'u']).parse().unwrap(),
            };
            (labels, number)
        })
        .collect()
}
