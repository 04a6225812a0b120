//! Points in time: the kernel's clocks in, RFC 3339 text in and out. Pure except for the four functions that read a
//! clock; every process uses it.
//!
//! A [`Time`] covers the years 0001 to 9999, as Docker's texts do: `0001-01-01T00:00:00Z` stands for "never".

pub mod duration;

use alloc::{
    borrow::Cow,
    format,
    string::{String, ToString},
};
use core::fmt;

use rustix::time::{ClockId, Timespec, clock_gettime};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::{Error, Result};

/// Nanoseconds in a second.
pub const SECOND: i64 = 1_000_000_000;

const DAY_SECONDS: i64 = 86_400;
/// Days from 0000-03-01 to 1970-01-01.
const DAYS_BEFORE_1970: i64 = 719_468;
/// Days in 400 years.
const ERA_DAYS: i64 = 146_097;
const YEAR_1_SECONDS: i64 = -62_135_596_800;
const YEAR_9999_END_SECONDS: i64 = 253_402_300_799;

/// A point in time, in UTC, to the nanosecond.
///
/// Its text is RFC 3339 without trailing zeros, as Docker writes times into JSON; [`Time::fixed`] always has nine
/// digits. Serde reads and writes that text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Time {
    /// Since 1970-01-01T00:00:00Z, negative before.
    seconds: i64,
    /// 0 to 999,999,999, forward from `seconds`.
    nanos: u32,
}

impl Default for Time {
    fn default() -> Self {
        Time::NEVER
    }
}

impl Time {
    /// `0001-01-01T00:00:00Z`: what Docker writes where nothing has happened yet.
    pub const NEVER: Time = Time { seconds: YEAR_1_SECONDS, nanos: 0 };

    /// The present, by the realtime clock.
    pub fn now() -> Time {
        let now = clock_gettime(ClockId::Realtime);
        Time { seconds: now.tv_sec, nanos: now.tv_nsec as u32 }
    }

    /// Seconds and nanoseconds since 1970; years outside 1 to 9999 become the nearest inside.
    pub fn from_unix(seconds: i64, nanos: u32) -> Time {
        let seconds = seconds.saturating_add(i64::from(nanos) / SECOND);
        match seconds {
            ..YEAR_1_SECONDS => Time::NEVER,
            YEAR_1_SECONDS..=YEAR_9999_END_SECONDS => Time { seconds, nanos: nanos % SECOND as u32 },
            _ => Time { seconds: YEAR_9999_END_SECONDS, nanos: SECOND as u32 - 1 },
        }
    }

    /// Whole seconds since 1970.
    pub fn unix(self) -> i64 {
        self.seconds
    }

    /// Nanoseconds since 1970, saturating (they end in 2262).
    pub fn unix_nanos(self) -> i64 {
        self.seconds.saturating_mul(SECOND).saturating_add(i64::from(self.nanos))
    }

    /// Whether this is [`Time::NEVER`].
    pub fn is_never(self) -> bool {
        self == Time::NEVER
    }

    /// This time and `nanos` nanoseconds more (or less).
    #[must_use]
    pub fn plus(self, nanos: i64) -> Time {
        let total = i64::from(self.nanos) + nanos.rem_euclid(SECOND);
        let seconds = self.seconds.saturating_add(nanos.div_euclid(SECOND)).saturating_add(total / SECOND);
        Time::from_unix(seconds, (total % SECOND) as u32)
    }

    /// Nanoseconds from `earlier` to this, saturating.
    pub fn since(self, earlier: Time) -> i64 {
        let nanos = i64::from(self.nanos) - i64::from(earlier.nanos);
        (self.seconds - earlier.seconds).saturating_mul(SECOND).saturating_add(nanos)
    }

    /// With all nine digits of the fraction, as `logs --timestamps` prints it: 30 bytes.
    pub fn fixed(self) -> String {
        let mut buffer = [0; TEXT_MAX];
        self.write(&mut buffer, Fraction::Nine).to_string()
    }

    /// The text, written into `buffer` without a formatter's cost.
    pub fn write(self, buffer: &mut [u8; TEXT_MAX], fraction: Fraction) -> &str {
        let (year, month, day) = date_of(self.seconds.div_euclid(DAY_SECONDS));
        let second = self.seconds.rem_euclid(DAY_SECONDS);
        *buffer = *b"0000-00-00T00:00:00.000000000Z";
        digits(&mut buffer[..4], year as u32);
        digits(&mut buffer[5..7], month);
        digits(&mut buffer[8..10], day);
        digits(&mut buffer[11..13], (second / 3600) as u32);
        digits(&mut buffer[14..16], (second / 60 % 60) as u32);
        digits(&mut buffer[17..19], (second % 60) as u32);
        digits(&mut buffer[20..29], self.nanos);
        let mut end = 29;
        if fraction == Fraction::Shortest {
            while buffer[end - 1] == b'0' {
                end -= 1;
            }
            if buffer[end - 1] == b'.' {
                end -= 1;
            }
            buffer[end] = b'Z';
        }
        core::str::from_utf8(&buffer[..=end]).unwrap_or_default()
    }

    /// Reads RFC 3339, with `Z` or an offset, fractions of any length (cut to nanoseconds).
    ///
    /// # Errors
    /// [`Error::Invalid`] with the text.
    pub fn parse(text: &str) -> Result<Time> {
        match parse_date_time(text.as_bytes()) {
            Some((time, true)) => Ok(time),
            _ => Err(Error::Invalid(format!("invalid time {text:?}: not RFC 3339, as 2006-01-02T15:04:05Z"))),
        }
    }

    /// Reads `seconds[.nanos]` since 1970, as `since` and `until` come in API requests.
    ///
    /// # Errors
    /// [`Error::Invalid`] with the text.
    pub fn parse_unix(text: &str) -> Result<Time> {
        unix(text).ok_or_else(|| {
            Error::Invalid(format!("invalid time {text:?}: not unix seconds, as 1136073845.5"))
        })
    }

    /// Reads what people give to `--since` and `--until`: a duration before `now` (`10m`, `1h30m`), RFC 3339 in full or
    /// in part (`2006-01-02T15:04`, `2006-01-02`; UTC where no offset stands), or unix seconds.
    ///
    /// # Errors
    /// [`Error::Invalid`] with the text.
    pub fn parse_when(text: &str, now: Time) -> Result<Time> {
        if text != "0"
            && let Ok(nanos) = duration::parse(text)
        {
            return Ok(now.plus(nanos.saturating_neg()));
        }
        if let Some((time, _)) = parse_date_time(text.as_bytes()) {
            return Ok(time);
        }
        unix(text)
            .ok_or_else(|| Error::Invalid(format!("failed to parse value as time or duration: {text:?}")))
    }
}

/// How long [`Time::write`]'s text can get.
pub const TEXT_MAX: usize = 30;

/// How the fraction of a second is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fraction {
    /// All nine digits.
    Nine,
    /// No trailing zeros.
    Shortest,
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.write(&mut [0; TEXT_MAX], Fraction::Shortest))
    }
}

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.write(&mut [0; TEXT_MAX], Fraction::Shortest))
    }
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<str>::deserialize(deserializer)?;
        if text.is_empty() {
            return Ok(Time::NEVER);
        }
        Time::parse(&text).map_err(serde::de::Error::custom)
    }
}

/// Nanoseconds on a clock that never jumps (and stands still while the machine sleeps).
pub fn monotonic() -> i64 {
    nanos(clock_gettime(ClockId::Monotonic))
}

/// Nanoseconds since the machine started, its sleep included.
pub fn boottime() -> i64 {
    nanos(clock_gettime(ClockId::Boottime))
}

fn nanos(time: Timespec) -> i64 {
    time.tv_sec.saturating_mul(SECOND).saturating_add(time.tv_nsec)
}

/// What ppoll, epoll_pwait2 and their kind take to wait until `deadline` on the clock of [`monotonic`]: zero if that is past.
pub fn timeout_until(deadline: i64) -> Timespec {
    timespec(deadline.saturating_sub(monotonic()).max(0))
}

/// Does nothing for so many nanoseconds, or until a signal.
pub fn sleep(nanos: i64) {
    let _ = rustix::thread::nanosleep(&timespec(nanos));
}

/// `nanos` nanoseconds as the kernel takes them.
pub fn timespec(nanos: i64) -> Timespec {
    Timespec { tv_sec: nanos.div_euclid(SECOND), tv_nsec: nanos.rem_euclid(SECOND) }
}

fn digits(buffer: &mut [u8], mut number: u32) {
    for byte in buffer.iter_mut().rev() {
        *byte = b'0' + (number % 10) as u8;
        number /= 10;
    }
}

/// Year, month and day of a day counted from 1970-01-01. Years are counted from March, so that the leap day is the last.
fn date_of(day: i64) -> (i64, u32, u32) {
    let day = day + DAYS_BEFORE_1970;
    let era = day.div_euclid(ERA_DAYS);
    let of_era = day.rem_euclid(ERA_DAYS);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * of_year + 2) / 153;
    let day_of_month = of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    (era * 400 + year_of_era + i64::from(month <= 2), month as u32, day_of_month as u32)
}

/// The inverse of [`date_of`].
fn day_of(year: i64, month: u32, day: u32) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let from_march = i64::from(if month > 2 { month - 3 } else { month + 9 });
    let of_year = (153 * from_march + 2) / 5 + i64::from(day) - 1;
    era * ERA_DAYS + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + of_year - DAYS_BEFORE_1970
}

fn month_days(year: i64, month: u32) -> u32 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        _ => 31,
    }
}

/// RFC 3339 or a beginning of it that ends after the day, the hour, the minute or the second; whether it was all of it.
fn parse_date_time(text: &[u8]) -> Option<(Time, bool)> {
    let mut rest = text;
    let year = i64::from(fixed_number(&mut rest, 4)?);
    let month = after(&mut rest, b'-', 1, 12)?;
    let day = after(&mut rest, b'-', 1, month_days(year, month))?;
    let mut second = 0;
    let mut nanos = 0;
    let mut full = false;
    if let Some((b'T' | b't', mut clock)) = rest.split_first().map(|(first, rest)| (*first, rest)) {
        let hour = fixed_number(&mut clock, 2).filter(|hour| *hour < 24)?;
        second = i64::from(hour) * 3600;
        // After the hour, `+01:00` is an offset and `:01` the minute.
        if clock.first() == Some(&b':') {
            second += i64::from(after(&mut clock, b':', 0, 59)?) * 60;
            if clock.first() == Some(&b':') {
                second += i64::from(after(&mut clock, b':', 0, 59)?);
                nanos = fraction(&mut clock)?;
                full = true;
            }
        }
        rest = clock;
    }
    match rest.split_first() {
        None => full = false,
        Some((b'Z' | b'z', [])) => {}
        Some((sign @ (b'+' | b'-'), mut offset)) => {
            let hours = fixed_number(&mut offset, 2).filter(|hours| *hours < 24)?;
            let minutes = after(&mut offset, b':', 0, 59)?;
            if !offset.is_empty() {
                return None;
            }
            let seconds = i64::from(hours * 3600 + minutes * 60);
            second += if *sign == b'+' { -seconds } else { seconds };
        }
        Some(_) => return None,
    }
    let seconds = day_of(year, month, day) * DAY_SECONDS + second;
    (YEAR_1_SECONDS..=YEAR_9999_END_SECONDS).contains(&seconds).then_some((Time { seconds, nanos }, full))
}

fn fixed_number(rest: &mut &[u8], length: usize) -> Option<u32> {
    let (number, after) = rest.split_at_checked(length)?;
    *rest = after;
    number.iter().try_fold(0, |all, byte| byte.is_ascii_digit().then(|| all * 10 + u32::from(byte - b'0')))
}

fn after(rest: &mut &[u8], separator: u8, least: u32, most: u32) -> Option<u32> {
    *rest = rest.strip_prefix(&[separator])?;
    fixed_number(rest, 2).filter(|number| (least..=most).contains(number))
}

/// `.123...` or nothing, as nanoseconds; digits after the ninth are dropped.
fn fraction(rest: &mut &[u8]) -> Option<u32> {
    let Some(digits) = rest.strip_prefix(b".") else { return Some(0) };
    let length = digits.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (digits, after) = digits.split_at(length);
    *rest = after;
    if digits.is_empty() {
        return None;
    }
    let zeros = core::iter::repeat(&b'0');
    Some(digits.iter().chain(zeros).take(9).fold(0, |all, byte| all * 10 + u32::from(byte - b'0')))
}

fn unix(text: &str) -> Option<Time> {
    let (whole, part) = text.split_once('.').map_or((text, None), |(whole, part)| (whole, Some(part)));
    let seconds: i64 = whole.parse().ok()?;
    let nanos = match part {
        None => 0,
        Some(_) => {
            let mut rest = &text.as_bytes()[whole.len()..];
            fraction(&mut rest).filter(|_| rest.is_empty())?
        }
    };
    // A fraction goes away from zero, as the number reads.
    let negative = whole.starts_with('-');
    let whole = Time::from_unix(seconds, 0);
    Some(whole.plus(if negative { -i64::from(nanos) } else { i64::from(nanos) }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(seconds: i64, nanos: u32) -> String {
        Time::from_unix(seconds, nanos).to_string()
    }

    #[test]
    fn times_print_as_docker_prints_them() {
        assert_eq!(text(1_795_477_287, 123_456_789), "2026-11-23T23:41:27.123456789Z");
        assert_eq!(text(1_795_477_287, 120_000_000), "2026-11-23T23:41:27.12Z");
        assert_eq!(text(0, 0), "1970-01-01T00:00:00Z");
        assert_eq!(Time::from_unix(0, 0).fixed(), "1970-01-01T00:00:00.000000000Z");
        assert_eq!(Time::NEVER.to_string(), "0001-01-01T00:00:00Z");
        assert_eq!(text(i64::MAX, 0), "9999-12-31T23:59:59.999999999Z");
        assert_eq!(text(-1, 999_999_999), "1969-12-31T23:59:59.999999999Z");
    }

    #[test]
    fn leap_years_are_where_the_calendar_has_them() {
        assert_eq!(text(951_782_400, 0), "2000-02-29T00:00:00Z");
        assert_eq!(text(4_107_542_400, 0), "2100-03-01T00:00:00Z");
        assert_eq!(text(4_107_542_399, 0), "2100-02-28T23:59:59Z");
        assert_eq!(text(1_709_164_800, 0), "2024-02-29T00:00:00Z");
        for bad in
            ["2023-02-29", "2100-02-29", "2024-02-30", "2024-04-31", "2024-13-01", "2024-00-01", "2024-01-00"]
        {
            assert!(Time::parse_when(bad, Time::NEVER).is_err(), "{bad}");
        }
        assert!(Time::parse_when("2000-02-29", Time::NEVER).is_ok());
    }

    #[test]
    fn every_day_of_ten_thousand_years_goes_there_and_back_in_order() {
        let first = YEAR_1_SECONDS / DAY_SECONDS;
        let last = YEAR_9999_END_SECONDS.div_euclid(DAY_SECONDS);
        assert_eq!(date_of(first), (1, 1, 1));
        assert_eq!(date_of(last), (9999, 12, 31));
        let mut before = (0, 0, 0);
        for day in first..=last {
            let (year, month, of_month) = date_of(day);
            assert!((year, month, of_month) > before);
            assert!(of_month <= month_days(year, month));
            assert_eq!(day_of(year, month, of_month), day);
            before = (year, month, of_month);
        }
    }

    #[test]
    fn rfc_3339_is_read_with_offsets_and_any_fraction() {
        let parse = |text: &str| Time::parse(text).map(|time| time.to_string());
        assert_eq!(parse("2026-11-23T23:41:27.123456789Z").unwrap(), "2026-11-23T23:41:27.123456789Z");
        assert_eq!(parse("2026-11-24T01:11:27.5+01:30").unwrap(), "2026-11-23T23:41:27.5Z");
        assert_eq!(parse("2026-11-23T18:41:27-05:00").unwrap(), "2026-11-23T23:41:27Z");
        assert_eq!(parse("2026-11-23T23:41:27.1234567899999Z").unwrap(), "2026-11-23T23:41:27.123456789Z");
        assert_eq!(parse("0001-01-01T00:00:00Z").unwrap(), Time::NEVER.to_string());
        for bad in [
            "",
            "2026",
            "2026-11-23",
            "2026-11-23T23:41:27",
            "2026-11-23T23:41Z",
            "2026-11-23T24:00:00Z",
            "2026-11-23T23:60:00Z",
            "2026-11-23T23:41:60Z",
            "2026-11-23T23:41:27.Z",
            "2026-11-23T23:41:27ZZ",
            "2026-11-23T23:41:27+1:00",
            "2026-11-23T23:41:27+01:00Z",
            "2026-11-23 23:41:27Z",
            "0001-01-01T00:00:00+01:00",
            "9999-12-31T23:59:59-00:01",
            "२०२६-११-२३T00:00:00Z",
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn since_and_until_take_durations_dates_and_unix_seconds() {
        let now = Time::parse("2026-11-23T12:00:00Z").unwrap();
        let when = |text: &str| Time::parse_when(text, now).unwrap().to_string();
        assert_eq!(when("10m"), "2026-11-23T11:50:00Z");
        assert_eq!(when("1h30m"), "2026-11-23T10:30:00Z");
        assert_eq!(when("0s"), "2026-11-23T12:00:00Z");
        assert_eq!(when("-5s"), "2026-11-23T12:00:05Z");
        assert_eq!(when("2006-01-02"), "2006-01-02T00:00:00Z");
        assert_eq!(when("2006-01-02T15"), "2006-01-02T15:00:00Z");
        assert_eq!(when("2006-01-02T15:04"), "2006-01-02T15:04:00Z");
        assert_eq!(when("2006-01-02T15:04:05.25"), "2006-01-02T15:04:05.25Z");
        assert_eq!(when("2006-01-02T15:04+01:00"), "2006-01-02T14:04:00Z");
        assert_eq!(when("2006-01-02Z"), "2006-01-02T00:00:00Z");
        assert_eq!(when("1136073845"), "2006-01-01T00:04:05Z");
        assert_eq!(when("1136073845.000000001"), "2006-01-01T00:04:05.000000001Z");
        assert_eq!(when("0"), "1970-01-01T00:00:00Z");
        assert_eq!(when("-0.5"), "1969-12-31T23:59:59.5Z");
        let error = Time::parse_when("yesterday", now).unwrap_err().to_string();
        assert_eq!(error, r#"failed to parse value as time or duration: "yesterday""#);
        assert!(Time::parse_unix("10m").is_err());
        assert!(Time::parse_unix("1.").is_err());
        assert!(Time::parse_unix("1.5x").is_err());
    }

    #[test]
    fn arithmetic_carries_and_saturates() {
        let time = Time::from_unix(10, 900_000_000);
        assert_eq!(time.plus(200_000_000), Time::from_unix(11, 100_000_000));
        assert_eq!(time.plus(-950_000_000), Time::from_unix(9, 950_000_000));
        assert_eq!(time.plus(-950_000_000).since(time), -950_000_000);
        assert_eq!(time.unix_nanos(), 10_900_000_000);
        assert_eq!(Time::from_unix(i64::MAX, 0).since(Time::NEVER), i64::MAX);
        assert_eq!(Time::NEVER.plus(i64::MIN), Time::NEVER);
        assert_eq!(Time::from_unix(i64::MAX, 0).unix_nanos(), i64::MAX);
    }

    #[test]
    fn json_carries_the_text() {
        let time = Time::from_unix(1, 500_000_000);
        assert_eq!(serde_json::to_string(&time).unwrap(), r#""1970-01-01T00:00:01.5Z""#);
        assert_eq!(serde_json::from_str::<Time>(r#""1970-01-01T00:00:01.5Z""#).unwrap(), time);
        assert_eq!(serde_json::from_str::<Time>(r#""""#).unwrap(), Time::NEVER);
        assert!(serde_json::from_str::<Time>(r#""soon""#).is_err());
    }

    #[test]
    fn clocks_go_forward() {
        let (realtime, before, boot) = (Time::now(), monotonic(), boottime());
        assert!(realtime > Time::from_unix(1_700_000_000, 0));
        assert!(monotonic() >= before && boottime() >= boot);
        assert_eq!(timeout_until(before - 1), timespec(0));
        assert!(timeout_until(before + 100 * SECOND).tv_sec >= 90);
    }
}
