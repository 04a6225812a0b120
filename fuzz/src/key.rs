//! What must hold for the key of any build step.

use skiff_core::build::cache::{Finished, Key};

/// A step's kind, then the name and the value of each thing that it depends on.
type Parts = Vec<Vec<u8>>;

/// Parts with 0xff between them: the same ones give the same key, and any others a different one, those too that only
/// look alike once they are written one behind the other.
pub fn key(data: &[u8]) {
    let parts: Parts = data.split(|byte| *byte == 0xff).take(8).map(Into::into).collect();
    let (kind, inputs) = meaning(&parts);
    let finished = finish(&parts);
    assert_eq!(finished.key, finish(&parts).key);
    assert!(finished.inputs.iter().map(|(name, _)| name).eq(inputs.iter().map(|(name, _)| name)));
    for other in alike(&parts) {
        let is_same = meaning(&other) == (kind.clone(), inputs.clone());
        assert_eq!(finish(&other).key == finished.key, is_same, "{parts:?} {other:?}");
    }
}

fn meaning(parts: &Parts) -> (String, Vec<(String, Vec<u8>)>) {
    let text = |part: &[u8]| String::from_utf8_lossy(part).into_owned();
    let input = |pair: &[Vec<u8>]| (text(&pair[0]), pair.get(1).cloned().unwrap_or_default());
    (text(&parts[0]), parts[1..].chunks(2).map(input).collect())
}

fn finish(parts: &Parts) -> Finished {
    let (kind, inputs) = meaning(parts);
    let mut key = Key::new(&kind);
    inputs.iter().for_each(|(name, value)| key.add(name, value));
    key.finish()
}

/// Lists that a careless encoding would take for this one.
fn alike(parts: &Parts) -> Vec<Parts> {
    let changed = |change: &dyn Fn(&mut Parts)| {
        let mut other = parts.clone();
        change(&mut other);
        other
    };
    let mut all = Vec::new();
    for at in 0..parts.len() {
        all.push(changed(&|other| other.insert(at + 1, Vec::new())));
        all.push(changed(&|other| other[at].push(0)));
        all.push(changed(&|other| other[at].iter_mut().take(1).for_each(|byte| *byte ^= 1)));
        if at + 1 == parts.len() {
            break;
        }
        all.push(changed(&|other| drop(other.remove(at + 1))));
        all.push(changed(&|other| other.swap(at, at + 1)));
        all.push(changed(&|other| {
            let next = other.remove(at + 1);
            other[at].extend(next);
        }));
        all.push(changed(&|other| {
            let last = other[at].pop();
            other[at + 1].splice(..0, last);
        }));
        // Its length and all, as if it were content.
        all.push(changed(&|other| {
            let next = other.remove(at + 1);
            other[at].extend((next.len() as u64).to_le_bytes());
            other[at].extend(next);
        }));
    }
    all
}
