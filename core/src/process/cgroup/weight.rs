//! Weights of cgroup v1, as Docker's API has them, to those of cgroup2. Pure.

/// `cpu.weight` for Docker's CPU shares: 1 for 2, 100 for 1024, 10000 for 262144, and a quadratic curve through these
/// three between the logarithms.
///
/// # Spec
/// `ConvertCPUSharesToCgroupV2Value` of opencontainers/cgroups since runc's pull request 4785 (runc 1.3 and later; crun
/// has the same). It replaced a straight line that gave the usual 1024 shares only a weight of 39.
pub fn cpu(shares: u64) -> u64 {
    if shares <= 2 {
        return 1;
    }
    if shares >= 262_144 {
        return 10_000;
    }
    let log = log2(shares as f64);
    let exponent = (log * log + 125.0 * log) / 612.0 - 7.0 / 34.0;
    let value = exp10(exponent);
    // Rounded up; what a float's last digits add to 100.0 must not make it 101.
    let whole = (value - 1e-9) as u64;
    whole + 1
}

/// `io.weight` (1 to 10000) for a block I/O weight of 10 to 1000.
///
/// # Spec
/// runc's conversion, a straight line.
pub fn io(weight: i64) -> i64 {
    1 + (weight - 10) * 9999 / 990
}

// `core` has no logarithms; these two are exact to about 15 digits in the range that is used here.

/// Of a number from 1 up.
fn log2(x: f64) -> f64 {
    let bits = x.to_bits();
    let exponent = (bits >> 52) as i64 - 1023;
    let mantissa = f64::from_bits(bits & ((1 << 52) - 1) | 1023 << 52);
    let t = (mantissa - 1.0) / (mantissa + 1.0);
    let (mut power, mut sum) = (t, 0.0);
    for n in 0..18 {
        sum += power / f64::from(2 * n + 1);
        power *= t * t;
    }
    exponent as f64 + 2.0 * sum * core::f64::consts::LOG2_E
}

/// Of a number from 0 to 4.
fn exp10(x: f64) -> f64 {
    let binary = x * core::f64::consts::LOG2_10;
    let whole = binary as u32;
    let rest = (binary - f64::from(whole)) * core::f64::consts::LN_2;
    let (mut term, mut sum) = (1.0, 1.0);
    for n in 1..20 {
        term *= rest / f64::from(n);
        sum += term;
    }
    sum * (1_u64 << whole) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_usual_shares_are_the_usual_weight_and_the_ends_are_the_ends() {
        assert_eq!([0, 2, 1024, 262_144, u64::MAX].map(cpu), [1, 1, 100, 10_000, 10_000]);
        assert_eq!([100, 512, 2048].map(cpu), [17, 59, 174]);
    }

    #[test]
    fn every_number_of_shares_gives_what_the_formula_gives() {
        for shares in 3..262_144_u32 {
            let log = f64::from(shares).log2();
            let exact = 10_f64.powf((log * log + 125.0 * log) / 612.0 - 7.0 / 34.0);
            assert_eq!(cpu(shares.into()), (exact - 1e-9).ceil() as u64, "{shares}");
        }
    }

    #[test]
    fn block_io_weights_fill_the_range() {
        assert_eq!([10, 500, 1000].map(io), [1, 4950, 10_000]);
    }
}
