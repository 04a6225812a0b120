//! Records without what goes without saying. Most settings of most containers are the usual ones, and a list of many
//! containers reads them all.

use alloc::vec::Vec;

/// `whole` without the members that are in `usual` with the same value, at the top and one level below. Both are what
/// serde_json writes of a struct, so without white space and with their members in the same order.
pub(super) fn brief(whole: &[u8], usual: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(whole.len() / 2);
    write(whole, usual, 1, &mut out);
    out
}

fn write(whole: &[u8], usual: &[u8], deeper: usize, out: &mut Vec<u8>) {
    let mut usual = Members(usual);
    let mut separator = b'{';
    for (key, value) in Members(whole) {
        let mut ahead = usual.clone();
        let found = ahead.find(|(name, _)| *name == key).map(|(_, value)| value);
        if found.is_some() {
            usual = ahead;
        }
        if found == Some(value) {
            continue;
        }
        out.push(separator);
        separator = b',';
        out.extend_from_slice(key);
        out.push(b':');
        match found {
            Some(found) if deeper > 0 && value.first() == Some(&b'{') => write(value, found, deeper - 1, out),
            _ => out.extend_from_slice(value),
        }
    }
    out.extend_from_slice(if separator == b'{' { b"{}" } else { b"}" });
}

/// The members of an object: the name with its quotes, and the value.
#[derive(Clone)]
struct Members<'a>(&'a [u8]);

impl<'a> Iterator for Members<'a> {
    type Item = (&'a [u8], &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let (_, rest) = self.0.split_first().filter(|(_, rest)| rest.first() == Some(&b'"'))?;
        let (key, rest) = rest.split_at(length(rest));
        let (_, rest) = rest.split_first()?;
        let (value, rest) = rest.split_at(length(rest));
        self.0 = rest;
        Some((key, value))
    }
}

/// How long the value is that the text begins with.
fn length(text: &[u8]) -> usize {
    let (mut depth, mut quoted, mut escaped) = (0_usize, false, false);
    for (at, &byte) in text.iter().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => quoted = !quoted,
            _ if quoted => {}
            b'{' | b'[' => depth += 1,
            b',' | b':' | b'}' | b']' if depth == 0 => return at,
            b'}' | b']' => depth -= 1,
            _ => {}
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_usual_is_left_out_and_the_rest_stays_as_it_is() {
        let usual = br#"{"a":"","b":{"x":null,"y":{"k":""},"z":[0,0]},"c":[],"d":{}}"#;
        let cases: [(&[u8], &[u8]); 6] = [
            (usual, b"{}"),
            (br#"{"a":"1","b":{"x":null,"y":{"k":""},"z":[0,0]},"c":[],"d":{}}"#, br#"{"a":"1"}"#),
            (br#"{"a":"","b":{"x":0,"y":{"k":""},"z":[0,0]},"c":[],"d":{}}"#, br#"{"b":{"x":0}}"#),
            // Below that everything is kept.
            (
                br#"{"a":"","b":{"x":null,"y":{"k":"","l":""},"z":[0,1]},"c":[{}],"d":{"k":""}}"#,
                br#"{"b":{"y":{"k":"","l":""},"z":[0,1]},"c":[{}],"d":{"k":""}}"#,
            ),
            // A member more, a member less, and text that looks like more than it is.
            (br#"{"a":"\"},{:\\","new":1,"c":[]}"#, br#"{"a":"\"},{:\\","new":1}"#),
            (b"{}", b"{}"),
        ];
        for (whole, wanted) in cases {
            let got = brief(whole, usual);
            assert_eq!(core::str::from_utf8(&got), core::str::from_utf8(wanted));
        }
    }
}
