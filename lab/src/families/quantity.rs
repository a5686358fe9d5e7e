//! Values of a family: constants, ranges and shares of what was drawn before, checked when read so that draws succeed.

use std::fmt;

use rand::RngExt;
use rand::seq::IndexedRandom;
use rand_chacha::ChaCha8Rng;
use toml::Value;

/// What a share may be of, in the order in which a pod draws them.
pub(super) const SOURCES: [&str; 8] =
    ["memory_limit", "cpu_limit", "pids_limit", "open_files", "volume", "read_bps", "write_bps", "life_ms"];
/// Suffixes of text that is a number, longest first, and the size of each in bytes or milliseconds.
const UNITS: [(&str, f64); 6] = [
    ("KiB", 1024.0),
    ("MiB", 1024.0 * 1024.0),
    ("GiB", 1024.0 * 1024.0 * 1024.0),
    ("min", 60_000.0),
    ("ms", 1.0),
    ("s", 1000.0),
];

/// What of [`SOURCES`] is drawn already.
#[derive(Debug, Clone, Default)]
pub(super) struct Known([Option<f64>; SOURCES.len()]);

impl Known {
    pub(super) fn set(&mut self, name: &str, value: f64) {
        if let Some(place) = SOURCES.iter().position(|source| *source == name) {
            self.0[place] = Some(value);
        }
    }
}

/// A number to be drawn, in base units.
#[derive(Debug, Clone)]
pub(super) enum Quantity {
    Constant(f64),
    Uniform(f64, f64),
    Log(f64, f64),
    OneOf(Vec<Quantity>),
    Share { source: usize, share: Box<Quantity>, over_ms: Option<Box<Quantity>> },
}

impl Quantity {
    pub(super) fn read(value: &Value) -> Result<Self, String> {
        match value {
            Value::Array(ends) => range(ends).map(|(low, high)| Self::Uniform(low, high)),
            Value::Table(table) => Self::table(table),
            value => match number(value) {
                Some(number) => Ok(Self::Constant(number)),
                None => {
                    Err(format!("{value} is not a number of at least 0, a size (\"48MiB\") or a duration (\"30s\")"))
                }
            },
        }
    }

    fn table(table: &toml::Table) -> Result<Self, String> {
        let mut keys: Vec<&str> = table.keys().map(String::as_str).collect();
        keys.sort_unstable();
        match (keys.as_slice(), table.get("log"), table.get("one_of"), table.get("of"), table.get("share")) {
            (["log"], Some(Value::Array(ends)), ..) => match range(ends)? {
                (low, high) if low > 0.0 => Ok(Self::Log(low, high)),
                (low, _) => Err(format!("a logarithmic range begins above 0, not at {low}")),
            },
            (["one_of"], _, Some(Value::Array(values)), ..) if !values.is_empty() => {
                values.iter().map(Self::read).collect::<Result<_, _>>().map(Self::OneOf)
            }
            (["of", "share"] | ["of", "over", "share"], _, _, Some(Value::String(of)), Some(share)) => {
                let source = SOURCES.iter().position(|source| source == of);
                let source =
                    source.ok_or_else(|| format!("a share is of one of {}, not of {of:?}", SOURCES.join(", ")))?;
                let over_ms = table.get("over").map(Self::read).transpose()?.map(Box::new);
                Ok(Self::Share { source, share: Box::new(Self::read(share)?), over_ms })
            }
            _ => Err(format!(
                "{table} is no log = [lo, hi], no one_of = [...] and no of = NAME, share = VALUE, over = VALUE"
            )),
        }
    }

    /// Whether all it refers to is drawn before it; else the name that is not.
    pub(super) fn rests_on(&self, known: &Known) -> Result<(), String> {
        match self {
            Self::OneOf(values) => values.iter().try_for_each(|value| value.rests_on(known)),
            Self::Share { source, share, over_ms } => {
                if known.0[*source].is_none() {
                    return Err(format!(
                        "{} is \"none\" or drawn later, a share of it has no meaning",
                        SOURCES[*source]
                    ));
                }
                share.rests_on(known)?;
                over_ms.as_ref().map_or(Ok(()), |over| over.rests_on(known))
            }
            _ => Ok(()),
        }
    }

    pub(super) fn draw(&self, known: &Known, random: &mut ChaCha8Rng) -> f64 {
        match self {
            Self::Constant(value) => *value,
            Self::Uniform(low, high) => low + (high - low) * random.random::<f64>(),
            Self::Log(low, high) => low * (high / low).powf(random.random::<f64>()),
            Self::OneOf(values) => values.choose(random).map_or(0.0, |value| value.draw(known, random)),
            Self::Share { source, share, over_ms } => {
                let whole = share.draw(known, random) * known.0[*source].unwrap_or(0.0);
                match over_ms {
                    Some(over) => whole / (over.draw(known, random) / 1000.0).max(1.0),
                    None => whole,
                }
            }
        }
    }
}

/// A word to be drawn.
#[derive(Debug, Clone)]
pub(super) struct Word(Vec<String>);

impl Word {
    /// `None` if it is not text or a choice of texts.
    pub(super) fn read(value: &Value) -> Option<Self> {
        let values = match value {
            Value::Table(table) if table.len() == 1 => table.get("one_of")?.as_array()?.as_slice(),
            value => std::slice::from_ref(value),
        };
        let word = |value: &Value| value.as_str().filter(|_| number(value).is_none()).map(str::to_owned);
        let words: Vec<String> = values.iter().map(word).collect::<Option<_>>()?;
        (!words.is_empty()).then_some(Self(words))
    }

    pub(super) fn draw(&self, random: &mut ChaCha8Rng) -> &str {
        self.0.choose(random).map_or("", String::as_str)
    }

    pub(super) fn words(&self) -> &[String] {
        &self.0
    }
}

/// A table that is read key by key; what nobody asked for is an error at its end.
pub(super) struct Table(toml::Table);

impl Table {
    pub(super) fn new(table: toml::Table) -> Self {
        Self(table)
    }

    pub(super) fn take(&mut self, key: &str) -> Option<Value> {
        self.0.remove(key)
    }

    pub(super) fn required(&mut self, key: &str) -> Result<Value, String> {
        self.take(key).ok_or_else(|| format!("the key {key} is missing"))
    }

    pub(super) fn quantity(&mut self, key: &str) -> Result<Quantity, String> {
        Quantity::read(&self.required(key)?).map_err(|reason| format!("{key}: {reason}"))
    }

    pub(super) fn constant(&mut self, key: &str) -> Result<f64, String> {
        match self.quantity(key)? {
            Quantity::Constant(value) => Ok(value),
            _ => Err(format!("{key}: a constant is wanted here")),
        }
    }

    pub(super) fn text(&mut self, key: &str) -> Result<String, String> {
        match self.required(key)? {
            Value::String(text) => Ok(text),
            value => Err(format!("{key}: text is wanted, not {value}")),
        }
    }

    /// Keys and values that are left, in the order of keys: the order of draws may not hang on how TOML is stored.
    pub(super) fn rest(self) -> Vec<(String, Value)> {
        let mut rest: Vec<_> = self.0.into_iter().collect();
        rest.sort_by(|a, b| a.0.cmp(&b.0));
        rest
    }

    pub(super) fn end(self) -> Result<(), String> {
        match self.0.keys().next() {
            Some(key) => Err(format!("the key {key} is unknown here")),
            None => Ok(()),
        }
    }
}

/// For errors: what a choice of words offers.
impl fmt::Display for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join(", "))
    }
}

fn range(ends: &[Value]) -> Result<(f64, f64), String> {
    match ends {
        [low, high] => match (number(low), number(high)) {
            (Some(low), Some(high)) if low <= high => Ok((low, high)),
            _ => Err(format!("[{low}, {high}] is not a range from a number to one that is not smaller")),
        },
        _ => Err(format!("a range has two ends, not {}", ends.len())),
    }
}

/// A finite number of at least 0 in base units: bytes, milliseconds.
fn number(value: &Value) -> Option<f64> {
    let number = match value {
        Value::Integer(number) => *number as f64,
        Value::Float(number) => *number,
        Value::String(text) => {
            let (digits, unit) = UNITS.iter().find_map(|(unit, size)| Some((text.strip_suffix(unit)?, size)))?;
            digits.trim().parse::<f64>().ok()? * unit
        }
        _ => return None,
    };
    (number.is_finite() && number >= 0.0).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;

    fn quantity(text: &str) -> Result<Quantity, String> {
        let table: toml::Table = toml::from_str(&format!("x = {text}")).expect("TOML");
        Quantity::read(&table["x"])
    }

    fn draws(text: &str, known: &Known) -> Vec<f64> {
        let mut random = ChaCha8Rng::seed_from_u64(5);
        let quantity = quantity(text).expect(text);
        (0..2000).map(|_| quantity.draw(known, &mut random)).collect()
    }

    #[test]
    fn units_become_bytes_and_milliseconds() {
        for (text, wanted) in
            [("\"48MiB\"", 50_331_648.0), ("\"1.5s\"", 1500.0), ("\"2min\"", 120_000.0), ("\"7ms\"", 7.0), ("3", 3.0)]
        {
            let seen = draws(text, &Known::default())[0];
            assert!((seen - wanted).abs() < 1e-9, "{text}: {seen}");
        }
    }

    #[test]
    fn a_logarithmic_range_has_its_median_at_the_geometric_mean() {
        let mut values = draws("{ log = [\"10s\", \"1000s\"] }", &Known::default());
        values.sort_by(f64::total_cmp);
        // Four standard errors of a median of 2000 draws are a tenth of the range of logarithms.
        let median = values[1000].log10();
        assert!((median - 5.0).abs() < 0.1, "{median}");
        assert!(values[0] >= 10_000.0 && values[1999] <= 1_000_000.0);
    }

    #[test]
    fn a_share_over_a_time_is_a_rate_per_second() {
        let mut known = Known::default();
        known.set("memory_limit", 1000.0);
        let rate = draws("{ of = \"memory_limit\", share = 0.5, over = \"100s\" }", &known)[0];
        assert!((rate - 5.0).abs() < 1e-9, "{rate}");
        assert!(quantity("{ of = \"volume\", share = 0.5 }").expect("a share").rests_on(&known).is_err());
    }

    #[test]
    fn what_is_neither_number_nor_recipe_is_refused() {
        for text in [
            "\"48Mib\"",
            "-1",
            "[2, 1]",
            "[1]",
            "{ log = [0, 1] }",
            "{ one_of = [] }",
            "{ of = \"luck\", share = 1 }",
            "{ lgo = [1, 2] }",
            "nan",
            "true",
        ] {
            assert!(quantity(text).is_err(), "{text}");
        }
    }

    #[test]
    fn words_are_told_from_numbers() {
        let word = |text: &str| {
            let table: toml::Table = toml::from_str(&format!("x = {text}")).expect("TOML");
            Word::read(&table["x"]).map(|word| word.to_string())
        };
        assert_eq!(word("\"sine\"").as_deref(), Some("sine"));
        assert_eq!(word("{ one_of = [\"a\", \"b\"] }").as_deref(), Some("a, b"));
        assert_eq!(word("\"30s\""), None);
        assert_eq!(word("{ one_of = [\"a\", 1] }"), None);
    }
}
