//! Two tables, computed by the compiler.

/// log2 of 1 … 2 in steps of 2^-8, in 2^-30.
pub(super) static LOG2: [u32; LOG2_STEPS + 1] = log2_table();
/// Steps of [`LOG2`].
pub(super) const LOG2_STEPS: usize = 256;

/// `x / (e^x - 1)` of 0 … 32 in steps of 2^-6, in 2^-31.
pub(super) static EXCESS: [u32; EXCESS_STEPS + 1] = excess_table();
/// Steps of [`EXCESS`]; a power of two.
pub(super) const EXCESS_STEPS: usize = 2048;
/// Steps per unit.
pub(super) const EXCESS_PER_UNIT: u64 = 64;

const fn log2_table() -> [u32; LOG2_STEPS + 1] {
    let mut table = [0; LOG2_STEPS + 1];
    let mut step = 0;
    while step <= LOG2_STEPS {
        let y = step as f64 / LOG2_STEPS as f64;
        // ln(1 + y) = 2 artanh(y / (2 + y)), whose series converges fast: the argument is 1/3 at most.
        let t = y / (2.0 + y);
        let (mut term, mut sum, mut odd) = (t, 0.0, 1.0);
        while odd < 60.0 {
            sum += term / odd;
            term *= t * t;
            odd += 2.0;
        }
        table[step] = (2.0 * sum / core::f64::consts::LN_2 * (1_u64 << 30) as f64 + 0.5) as u32;
        step += 1;
    }
    table
}

const fn excess_table() -> [u32; EXCESS_STEPS + 1] {
    let mut table = [0; EXCESS_STEPS + 1];
    let mut step = 0;
    while step <= EXCESS_STEPS {
        let x = step as f64 / EXCESS_PER_UNIT as f64;
        table[step] = (excess(x) * (1_u64 << 31) as f64 + 0.5) as u32;
        step += 1;
    }
    table
}

/// `x / (e^x - 1)`, 1 at 0.
const fn excess(x: f64) -> f64 {
    // (e^x - 1) / x = 1 + x/2! + x²/3! + …, all terms positive: no cancellation.
    let (mut term, mut sum, mut n) = (1.0, 0.0, 1.0);
    while n < 200.0 {
        sum += term;
        n += 1.0;
        term *= x / n;
    }
    1.0 / sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tables_are_what_their_names_say() {
        for (step, &entry) in LOG2.iter().enumerate() {
            let exact = (1.0 + step as f64 / LOG2_STEPS as f64).log2();
            assert!((f64::from(entry) / f64::from(1 << 30) - exact).abs() < 1e-9, "{step}");
        }
        for (step, &entry) in EXCESS.iter().enumerate().skip(1) {
            let x = step as f64 / EXCESS_PER_UNIT as f64;
            assert!((f64::from(entry) / f64::from(1_u32 << 31) - x / x.exp_m1()).abs() < 1e-9, "{step}");
        }
    }
}
