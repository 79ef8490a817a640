//! Several measurements of one thing.

use serde_json::{Value, json};

/// In the order in which they were made.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Samples(pub(crate) Vec<f64>);

impl Samples {
    pub(crate) fn push(&mut self, value: f64) {
        self.0.push(value);
    }

    fn sorted(&self) -> Vec<f64> {
        let mut values = self.0.clone();
        values.sort_by(f64::total_cmp);
        values
    }

    /// The middle one, or between the two in the middle.
    pub(crate) fn median(&self) -> Option<f64> {
        let values = self.sorted();
        let middle = values.len() / 2;
        match values.len() {
            0 => None,
            n if n % 2 == 0 => Some(f64::midpoint(values[middle - 1], values[middle])),
            _ => Some(values[middle]),
        }
    }

    /// One by one through the other's; `None` where either has nothing.
    pub(crate) fn over(&self, other: &Self) -> Self {
        Self(self.0.iter().zip(&other.0).map(|(a, b)| a / b).collect())
    }

    /// The median, and from the smallest to the largest behind it.
    pub(crate) fn show(&self, digits: usize) -> String {
        let (Some(median), values) = (self.median(), self.sorted()) else { return "-".to_owned() };
        match values.as_slice() {
            [first, .., last] => format!("{median:.digits$} ({first:.digits$} to {last:.digits$})"),
            _ => format!("{median:.digits$}"),
        }
    }

    pub(crate) fn to_json(&self) -> Value {
        json!(self.0)
    }
}

impl FromIterator<f64> for Samples {
    fn from_iter<I: IntoIterator<Item = f64>>(values: I) -> Self {
        Self(values.into_iter().collect())
    }
}

/// A figure, or a dash.
pub(crate) fn show(value: Option<f64>, digits: usize) -> String {
    value.map_or_else(|| "-".to_owned(), |value| format!("{value:.digits$}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_median_of_an_even_number_lies_between() {
        assert_eq!(Samples(vec![4.0, 1.0, 3.0, 2.0]).median(), Some(2.5));
        assert_eq!(Samples(vec![5.0, 1.0, 3.0]).median(), Some(3.0));
        assert_eq!(Samples::default().median(), None);
    }

    #[test]
    fn ratios_are_of_the_same_round() {
        let ratio = Samples(vec![4.0, 9.0]).over(&Samples(vec![2.0, 3.0]));
        assert_eq!(ratio.show(1), "2.5 (2.0 to 3.0)");
    }
}
