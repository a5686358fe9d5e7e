//! Label set of a source series, sorted by name.

/// Labels of one source series, the metric's name among them as `__name__`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Labels(Vec<(String, String)>);

impl Labels {
    /// Sorts the pairs by name; pairs with an empty value are left out, since in PromQL they are not there.
    ///
    /// # Errors
    /// The name that is given twice.
    pub fn try_new(mut pairs: Vec<(String, String)>) -> Result<Self, String> {
        pairs.retain(|(_, value)| !value.is_empty());
        pairs.sort_unstable();
        match pairs.windows(2).find(|pair| pair[0].0 == pair[1].0) {
            Some(pair) => Err(pair[0].0.clone()),
            None => Ok(Self(pairs)),
        }
    }

    /// The metric's name, empty when there is none.
    #[must_use]
    pub fn name(&self) -> &str {
        self.get("__name__")
    }

    /// Value of a label; as in PromQL, a label that is not there is the empty string.
    #[must_use]
    pub fn get(&self, name: &str) -> &str {
        self.0.binary_search_by(|(key, _)| key.as_str().cmp(name)).map_or("", |at| self.0[at].1.as_str())
    }

    /// Pairs, sorted by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

impl std::fmt::Display for Labels {
    /// As PromQL writes it: `name{label="value"}`.
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(self.name())?;
        formatter.write_str("{")?;
        for (index, (name, value)) in self.iter().filter(|(name, _)| *name != "__name__").enumerate() {
            if index > 0 {
                formatter.write_str(",")?;
            }
            write!(formatter, "{name}={value:?}")?;
        }
        formatter.write_str("}")
    }
}
