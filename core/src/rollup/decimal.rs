//! Exact decimal numbers. No floats: a sum over 3,321 communes must not depend on their order; and no
//! library, because those at hand round in silence where the digits run out, and a total must be refused then.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

/// A number with up to 38 digits. Every operation is exact or says that it cannot be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decimal {
    /// The digits, without trailing zeros after the point.
    digits: i128,
    /// How many of them stand after the point.
    scale: u32,
}

/// Text that is not a plain decimal number, such as `88.12`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "cannot read {0:?} as a decimal number of at most {MAX_WHOLE} digits before the point and {MAX_SCALE} after it"
)]
pub struct DecimalError(String);

/// Most digits before the point that are read: more than any budget in đồng.
const MAX_WHOLE: usize = 18;
/// Most digits after the point that are read.
const MAX_SCALE: usize = 9;

impl Decimal {
    /// How many digits stand after the point.
    pub fn scale(self) -> u32 {
        self.scale
    }

    /// Whether it is 0.
    pub fn is_zero(self) -> bool {
        self.digits == 0
    }

    /// The sum; `None` when it does not fit.
    pub fn checked_add(self, other: Decimal) -> Option<Decimal> {
        let (a, b, scale) = aligned(self, other)?;
        Some(normal(a.checked_add(b)?, scale))
    }

    /// The product; `None` when it does not fit.
    pub fn checked_mul(self, other: Decimal) -> Option<Decimal> {
        let digits = self.digits.checked_mul(other.digits)?;
        Some(normal(digits, self.scale + other.scale))
    }

    /// Which is greater; `None` when they are too far apart to be written with one scale.
    pub fn checked_cmp(self, other: Decimal) -> Option<Ordering> {
        let (a, b, _) = aligned(self, other)?;
        Some(a.cmp(&b))
    }

    /// The quotient cut off after `places` digits, and the one rounded half away from zero; `None` for a
    /// division by 0 and when the digits run out.
    pub fn checked_div(self, by: Decimal, places: u32) -> Option<(Decimal, Decimal)> {
        let above = self.digits.checked_mul(power(by.scale + places)?)?;
        let below = by.digits.checked_mul(power(self.scale)?)?;
        let cut = above.checked_div(below)?;
        let rest = above.checked_rem(below)?.checked_mul(2)?.checked_abs()?;
        let away = (above.signum() * below.signum()) * i128::from(rest >= below.checked_abs()?);
        Some((normal(cut, places), normal(cut.checked_add(away)?, places)))
    }
}

impl From<i64> for Decimal {
    fn from(number: i64) -> Self {
        normal(i128::from(number), 0)
    }
}

impl FromStr for Decimal {
    type Err = DecimalError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = || DecimalError(text.chars().take(40).collect());
        let unsigned = text.strip_prefix('-').unwrap_or(text);
        let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, "0"));
        let plain = |part: &str, most| {
            (1..=most).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit())
        };
        if !plain(whole, MAX_WHOLE) || !plain(fraction, MAX_SCALE) {
            return Err(error());
        }
        let digits: i128 = format!("{whole}{fraction}").parse().map_err(|_| error())?;
        let sign = if unsigned.len() < text.len() { -1 } else { 1 };
        Ok(normal(sign * digits, fraction.len() as u32))
    }
}

impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.digits < 0 { "-" } else { "" };
        let width = self.scale as usize + 1;
        let digits = format!("{:0>width$}", self.digits.unsigned_abs());
        let (whole, fraction) = digits.split_at(digits.len() - self.scale as usize);
        match fraction {
            "" => write!(f, "{sign}{whole}"),
            _ => write!(f, "{sign}{whole}.{fraction}"),
        }
    }
}

fn power(exponent: u32) -> Option<i128> {
    10i128.checked_pow(exponent)
}

fn normal(mut digits: i128, mut scale: u32) -> Decimal {
    while scale > 0 && digits % 10 == 0 {
        digits /= 10;
        scale -= 1;
    }
    Decimal { digits, scale }
}

fn aligned(a: Decimal, b: Decimal) -> Option<(i128, i128, u32)> {
    let scale = a.scale.max(b.scale);
    let raise = |n: Decimal| n.digits.checked_mul(power(scale - n.scale)?);
    Some((raise(a)?, raise(b)?, scale))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Decimal {
        text.parse().unwrap()
    }

    #[test]
    fn numbers_are_read_and_written_exactly() {
        for text in [
            "0",
            "-0.5",
            "2274905",
            "88.12",
            "999999999999999999.999999999",
        ] {
            assert_eq!(of(text).to_string(), text);
        }
        assert_eq!(of("007.500").to_string(), "7.5");
        let refused = [
            "",
            "-",
            ".5",
            "5.",
            "1e9",
            "88,12",
            "2.274.905",
            "+1",
            " 1",
            "1234567890123456789",
        ];
        for text in refused {
            assert!(text.parse::<Decimal>().is_err(), "{text}");
        }
    }

    #[test]
    fn quotients_are_cut_off_and_rounded_and_refused_where_they_do_not_exist() {
        let (cut, rounded) = of("200").checked_div(of("3"), 2).unwrap();
        assert_eq!((cut, rounded), (of("66.66"), of("66.67")));
        let (cut, rounded) = of("-200").checked_div(of("3"), 2).unwrap();
        assert_eq!((cut, rounded), (of("-66.66"), of("-66.67")));
        assert_eq!(of("1").checked_div(of("0"), 2), None);
        let great = of("999999999999999999")
            .checked_mul(of("999999999999999999"))
            .unwrap();
        assert_eq!(great.checked_mul(great), None);
    }
}
