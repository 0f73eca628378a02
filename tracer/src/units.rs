//! Sizes, durations and address spaces, and how they print. The only KiB and MiB code.

use std::fmt;
use std::time::Duration;

/// An offset in a file, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileOffset(pub u64);

/// A virtual address as an ELF file states it, before the loader moves it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ElfVaddr(pub u64);

/// An address in a running process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProcessAddr(pub u64);

impl fmt::Display for FileOffset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}

impl fmt::Display for ElfVaddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}

impl fmt::Display for ProcessAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}

/// A number of bytes that prints with a binary unit and three significant digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Bytes(pub u64);

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
        if self.0 < 1024 {
            return f.pad(&format!("{} B", self.0));
        }
        let mut value = self.0 as f64 / 1024.0;
        let mut unit = 0;
        // 999.5 would print as "1000": the next unit says it in three digits.
        while value >= 999.5 && unit + 1 < UNITS.len() {
            value /= 1024.0;
            unit += 1;
        }
        let digits = if value < 9.995 { 2 } else { usize::from(value < 99.95) };
        f.pad(&format!("{value:.digits$} {}", UNITS[unit]))
    }
}

/// A count that prints with thousands separators.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Count(pub u64);

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = self.0.to_string();
        let mut out = String::with_capacity(digits.len() + digits.len() / 3);
        for (i, digit) in digits.chars().enumerate() {
            if i > 0 && (digits.len() - i).is_multiple_of(3) {
                out.push(',');
            }
            out.push(digit);
        }
        f.pad(&out)
    }
}

/// A change of a number of bytes; prints with its sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct BytesChange(pub i64);

impl fmt::Display for BytesChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{}{}", sign(self.0), Bytes(self.0.unsigned_abs())))
    }
}

/// A change of a count; prints with its sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct CountChange(pub i64);

impl fmt::Display for CountChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{}{}", sign(self.0), Count(self.0.unsigned_abs())))
    }
}

const fn sign(change: i64) -> &'static str {
    match change {
        0 => "",
        1.. => "+",
        _ => "-",
    }
}

/// A duration that prints with its two largest units: `1h 5m`, `12.3s`, `450ms`, `20us`.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct Age(pub Duration);

impl fmt::Display for Age {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.as_secs_f64();
        let whole = self.0.as_secs();
        let text = match seconds {
            s if s < 1e-3 => format!("{:.0}us", s * 1e6),
            s if s < 0.9995 => format!("{:.0}ms", s * 1e3),
            s if s < 60.0 => format!("{s:.1}s"),
            s if s < 3600.0 => format!("{}m {}s", whole / 60, whole % 60),
            s if s < 86400.0 => format!("{}h {}m", whole / 3600, whole / 60 % 60),
            _ => format!("{}d {}h", whole / 86400, whole / 3600 % 24),
        };
        f.pad(&text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_print_with_three_digits() {
        let check = |bytes, expect: &str| assert_eq!(Bytes(bytes).to_string(), expect);
        for (bytes, expect) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.00 KiB"),
            (72_704, "71.0 KiB"),
            (1_023_999, "0.98 MiB"),
            (1 << 20, "1.00 MiB"),
            (123 << 20, "123 MiB"),
            (u64::MAX, "16.0 EiB"),
        ] {
            check(bytes, expect);
        }
    }

    #[test]
    fn counts_print_with_separators() {
        let check = |count, expect: &str| assert_eq!(Count(count).to_string(), expect);
        for (count, expect) in [(0, "0"), (999, "999"), (1000, "1,000"), (1_234_567, "1,234,567")] {
            check(count, expect);
        }
    }

    #[test]
    fn changes_print_with_their_sign() {
        let check = |change, bytes: &str, count: &str| {
            assert_eq!(
                (BytesChange(change).to_string(), CountChange(change).to_string()),
                (bytes.into(), count.into())
            );
        };
        for (change, bytes, count) in [
            (0, "0 B", "0"),
            (1_258_291, "+1.20 MiB", "+1,258,291"),
            (-3, "-3 B", "-3"),
            (i64::MIN, "-8.00 EiB", "-9,223,372,036,854,775,808"),
        ] {
            check(change, bytes, count);
        }
    }

    #[test]
    fn ages_print_with_their_largest_units() {
        let check =
            |seconds, expect: &str| assert_eq!(Age(Duration::from_secs_f64(seconds)).to_string(), expect);
        for (seconds, expect) in [
            (0.000_02, "20us"),
            (0.45, "450ms"),
            (0.9996, "1.0s"),
            (12.34, "12.3s"),
            (65.0, "1m 5s"),
            (3900.0, "1h 5m"),
            (90_000.0, "1d 1h"),
        ] {
            check(seconds, expect);
        }
    }
}
