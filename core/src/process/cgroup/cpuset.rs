//! Lists of CPUs and memory nodes, `0-2,7`: text in, ranges out. Pure; used where limits are checked.

use alloc::vec::Vec;
use core::ops::RangeInclusive;

/// Larger numbers are nonsense on any machine.
const HIGHEST: u32 = 8192;

/// Reads a list; an empty one has no ranges. `None` if it is malformed.
pub fn parse(list: &str) -> Option<Vec<RangeInclusive<u32>>> {
    if list.is_empty() {
        return Some(Vec::new());
    }
    list.split(',').map(range).collect()
}

fn range(text: &str) -> Option<RangeInclusive<u32>> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last) = (number(first)?, number(last)?);
    (first <= last).then_some(first..=last)
}

fn number(text: &str) -> Option<u32> {
    if !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    text.parse().ok().filter(|&number| number <= HIGHEST)
}

/// Whether every number of `wanted` is in `there`.
pub fn contains(there: &[RangeInclusive<u32>], wanted: &[RangeInclusive<u32>]) -> bool {
    wanted.iter().cloned().flatten().all(|number| there.iter().any(|range| range.contains(&number)))
}

/// How many numbers a list names, if none is named twice.
pub fn count(list: &[RangeInclusive<u32>]) -> u32 {
    list.iter().map(|range| range.end() - range.start() + 1).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_numbers_and_ranges() {
        let list = parse("0-2,7").unwrap();
        assert_eq!(list, [0..=2, 7..=7]);
        assert_eq!(count(&list), 4);
        assert_eq!(parse(""), Some(Vec::new()));
        for wrong in [",", "0,", "-1", "1-", "2-1", "+1", "0-1-2", "a", " 1", "9999", "4294967296"] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_list_is_contained_number_by_number() {
        let there = parse("0-1,4").unwrap();
        assert!(contains(&there, &parse("4,1").unwrap()));
        assert!(!contains(&there, &parse("1-2").unwrap()));
        assert!(contains(&there, &[]));
    }
}
