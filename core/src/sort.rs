//! Sorting that is compiled once: the language's own stable sort is 6 KB of code for each type that is sorted.

use alloc::vec::Vec;
use core::cmp::Ordering;

/// Sorts by `compare`; equals stay in order.
pub fn by<T>(items: &mut [T], compare: impl Fn(&T, &T) -> Ordering) {
    let mut sources = order(items.len(), &|a, b| compare(&items[a], &items[b]));
    // Each place gets the item of its source; a cycle of places ends where it began.
    for start in 0..items.len() {
        let mut place = start;
        loop {
            let source = core::mem::replace(&mut sources[place], place);
            if source == start || source == place {
                break;
            }
            items.swap(place, source);
            place = source;
        }
    }
}

/// Sorts by a key.
pub fn by_key<T, K: Ord>(items: &mut [T], key: impl Fn(&T) -> K) {
    by(items, |a, b| key(a).cmp(&key(b)));
}

/// Which item comes first, which second, and so on.
fn order(count: usize, compare: &dyn Fn(usize, usize) -> Ordering) -> Vec<usize> {
    let mut order: Vec<usize> = (0..count).collect();
    order.sort_by(|a, b| compare(*a, *b));
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_result_is_that_of_the_languages_sort() {
        let mut state = 7_u32;
        for count in (0..40).chain([1000]) {
            let mut items: Vec<(u32, usize)> = (0..count)
                .map(|number| {
                    state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    ((state >> 16) % 13, number)
                })
                .collect();
            let mut expected = items.clone();
            expected.sort_by_key(|item| item.0);
            by(&mut items, |a, b| a.0.cmp(&b.0));
            assert_eq!(items, expected);
            expected.sort_by_key(|item| core::cmp::Reverse(item.0));
            by_key(&mut items, |item| core::cmp::Reverse(item.0));
            assert_eq!(items, expected);
        }
    }
}
