//! Many tests, one error.

/// p values such that all tests together call an unchanged pair changed with at most the probability that each is held
/// against: Holm ("A simple sequentially rejective multiple test procedure", Scandinavian Journal of Statistics 6, 1979).
/// In the order of the input; it holds however the tests depend on each other.
pub(super) fn holm(p_values: &[f64]) -> Vec<f64> {
    let mut order: Vec<(usize, f64)> = p_values.iter().copied().enumerate().collect();
    order.sort_by(|a, b| a.1.total_cmp(&b.1));
    let mut adjusted = vec![1.0; p_values.len()];
    let mut least = 0.0_f64;
    for (rank, (at, p_value)) in order.into_iter().enumerate() {
        least = least.max(p_value * (p_values.len() - rank) as f64).min(1.0);
        if let Some(adjusted) = adjusted.get_mut(at) {
            *adjusted = least;
        }
    }
    adjusted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn p_values_are_adjusted_step_by_step() {
        let check = |p_values: &[f64], expect: &[f64]| {
            let found = holm(p_values);
            assert_eq!(found.len(), expect.len());
            for (found, expect) in found.iter().zip(expect) {
                assert!((found - expect).abs() < 1e-12, "{found} for {expect}");
            }
        };
        // R: p.adjust(p, "holm")
        check(&[0.01, 0.02, 0.03, 0.005], &[0.03, 0.04, 0.04, 0.02]);
        check(&[0.5, 0.9, 0.001], &[1.0, 1.0, 0.003]);
        check(&[0.04], &[0.04]);
        check(&[], &[]);
    }
}
