//! Values of several rounds, by what they belong to, in the order of the first round.

/// The values of each key.
#[derive(Clone, Debug)]
pub(crate) struct Samples<K>(Vec<(K, Vec<f64>)>);

impl<K> Default for Samples<K> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<K: PartialEq> Samples<K> {
    /// Adds a value of one round.
    pub(crate) fn add(&mut self, key: K, value: f64) {
        push(&mut self.0, key, value);
    }

    /// The keys.
    pub(crate) fn keys(&self) -> impl Iterator<Item = &K> {
        self.0.iter().map(|(key, _)| key)
    }

    /// The values of a key, from the lowest to the highest; none if it was not measured.
    pub(crate) fn sorted(&self, key: &K) -> Vec<f64> {
        let values = self.0.iter().find(|(known, _)| known == key).map(|(_, values)| values.clone());
        let mut values = values.unwrap_or_default();
        values.sort_by(f64::total_cmp);
        values
    }

    /// The middle one, the upper one of two; `None` if it was not measured.
    pub(crate) fn median(&self, key: &K) -> Option<f64> {
        let values = self.sorted(key);
        values.get(values.len() / 2).copied()
    }
}

/// Adds a value under its key.
pub(crate) fn push<K: PartialEq, V>(table: &mut Vec<(K, Vec<V>)>, key: K, value: V) {
    match table.iter_mut().find(|(known, _)| *known == key) {
        Some((_, values)) => values.push(value),
        None => table.push((key, vec![value])),
    }
}

/// The median of some values; `None` if there are none.
pub(crate) fn median(values: impl Iterator<Item = f64>) -> Option<f64> {
    let mut samples = Samples::default();
    values.for_each(|value| samples.add((), value));
    samples.median(&())
}
