//! What somebody may have meant who typed something else. Pure.

use alloc::vec::Vec;

/// More letters have to be changed in a word that means something else.
const FAR: usize = 3;

/// The name that is most like `wrong`, the first of several, if one is like it at all.
pub fn nearest<'a>(wrong: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let far = wrong.len().saturating_sub(FAR)..wrong.len() + FAR;
    let near = names.into_iter().filter(|name| far.contains(&name.len()) && *name != wrong);
    near.map(|name| (distance(wrong.as_bytes(), name.as_bytes()), name))
        .filter(|(distance, _)| *distance < FAR)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

/// How many letters have to be put in, taken out or changed to make `to` of `from`.
fn distance(from: &[u8], to: &[u8]) -> usize {
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (i, a) in from.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, b) in to.iter().enumerate() {
            let changed = diagonal + usize::from(a != b);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_letters_are_near_and_three_are_far() {
        let names = ["RUN", "FROM", "ENTRYPOINT", "ENV"];
        for (wrong, meant) in [
            ("FORM", Some("FROM")),
            ("ENTRYPOIN", Some("ENTRYPOINT")),
            ("ENVV", Some("ENV")),
            ("RU", Some("RUN")),
            ("FROM", None),
            ("VOLUME", None),
            ("ENTRYPOINTEDLY", None),
        ] {
            assert_eq!(nearest(wrong, names), meant, "{wrong}");
        }
        assert_eq!(nearest("", ["abc"]), None);
    }
}
