//! One line of a script, taken apart key by key; what nobody asked for is an error at its end.

use std::fmt;

/// A line that cannot be read, and why.
#[derive(Debug, Clone, PartialEq)]
pub struct ScriptError {
    /// Line, counted from 1; 0 for the script as a whole.
    pub line: usize,
    /// Kind of the behaviour.
    pub kind: String,
    /// Key, or empty.
    pub key: String,
    /// Value as written, or empty.
    pub value: String,
    /// What is wrong and what is allowed.
    pub reason: String,
}

impl fmt::Display for ScriptError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "script line {}: {}", self.line, self.kind)?;
        if !self.key.is_empty() {
            write!(f, " {}={}", self.key, self.value)?;
        }
        write!(f, ": {}", self.reason)
    }
}

impl std::error::Error for ScriptError {}

/// `kind key=value …`
pub(super) struct Line<'a> {
    number: usize,
    /// First word.
    pub(super) kind: &'a str,
    fields: Vec<(&'a str, &'a str)>,
}

impl<'a> Line<'a> {
    pub(super) fn parse(number: usize, text: &'a str) -> Result<Self, ScriptError> {
        let mut words = text.split_whitespace();
        let mut line = Self { number, kind: words.next().unwrap_or_default(), fields: Vec::new() };
        for word in words {
            let Some((key, value)) = word.split_once('=') else {
                return Err(line.error(word, "", "a behaviour is `kind key=value …`"));
            };
            if line.fields.iter().any(|(known, _)| *known == key) {
                return Err(line.error(key, value, "the key is given twice"));
            }
            line.fields.push((key, value));
        }
        Ok(line)
    }

    pub(super) fn error(&self, key: &str, value: &str, reason: &str) -> ScriptError {
        ScriptError {
            line: self.number,
            kind: self.kind.to_owned(),
            key: key.to_owned(),
            value: value.to_owned(),
            reason: reason.to_owned(),
        }
    }

    fn take(&mut self, key: &str) -> Option<&'a str> {
        let place = self.fields.iter().position(|(known, _)| *known == key)?;
        Some(self.fields.swap_remove(place).1)
    }

    fn required(&mut self, key: &str) -> Result<&'a str, ScriptError> {
        self.take(key).ok_or_else(|| self.error(key, "", "the key is missing"))
    }

    fn checked(&self, key: &str, value: &str, positive: bool) -> Result<f64, ScriptError> {
        match value.parse::<f64>() {
            Ok(number) if number.is_finite() && number >= 0.0 && (number > 0.0 || !positive) => Ok(number),
            _ => Err(self.error(
                key,
                value,
                if positive { "a number above 0 is wanted" } else { "a number of at least 0 is wanted" },
            )),
        }
    }

    /// A number of at least 0.
    pub(super) fn number(&mut self, key: &str) -> Result<f64, ScriptError> {
        let value = self.required(key)?;
        self.checked(key, value, false)
    }

    /// A number of at least 0; without the key, 0.
    pub(super) fn number_or_zero(&mut self, key: &str) -> Result<f64, ScriptError> {
        self.take(key).map_or(Ok(0.0), |value| self.checked(key, value, false))
    }

    /// A number above 0.
    pub(super) fn positive(&mut self, key: &str) -> Result<f64, ScriptError> {
        let value = self.required(key)?;
        self.checked(key, value, true)
    }

    /// A number above 0, if the key is there.
    pub(super) fn optional_positive(&mut self, key: &str) -> Result<Option<f64>, ScriptError> {
        self.take(key).map(|value| self.checked(key, value, true)).transpose()
    }

    /// A whole number.
    pub(super) fn whole(&mut self, key: &str) -> Result<u64, ScriptError> {
        let value = self.required(key)?;
        value.parse().map_err(|_| self.error(key, value, "a whole number is wanted"))
    }

    /// A whole number, if the key is there.
    pub(super) fn optional_whole(&mut self, key: &str) -> Result<Option<u64>, ScriptError> {
        self.take(key)
            .map(|value| value.parse().map_err(|_| self.error(key, value, "a whole number is wanted")))
            .transpose()
    }

    /// A count of runs, if the key is there.
    pub(super) fn optional_run(&mut self, key: &str) -> Result<Option<u32>, ScriptError> {
        self.take(key)
            .map(|value| value.parse().map_err(|_| self.error(key, value, "a whole number is wanted")))
            .transpose()
    }

    /// `code`, an exit code a process can have.
    pub(super) fn code(&mut self) -> Result<u8, ScriptError> {
        let value = self.required("code")?;
        value.parse().map_err(|_| self.error("code", value, "an exit code from 0 to 255 is wanted"))
    }

    /// One of a few words.
    pub(super) fn word<T: Copy>(&mut self, key: &str, known: &[(&str, T)]) -> Result<T, ScriptError> {
        let value = self.required(key)?;
        known.iter().find(|(name, _)| *name == value).map(|(_, meaning)| *meaning).ok_or_else(|| {
            let names: Vec<&str> = known.iter().map(|(name, _)| *name).collect();
            self.error(key, value, &format!("one of {} is wanted", names.join(", ")))
        })
    }

    /// Refuses what was not asked for.
    pub(super) fn end(&self) -> Result<(), ScriptError> {
        match self.fields.first() {
            Some((key, value)) => Err(self.error(key, value, "the key is unknown here")),
            None => Ok(()),
        }
    }
}
