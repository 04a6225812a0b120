//! The patterns of `${N#p}`, `${N%p}` and `${N/p/r}`: `*`, `?` and escapes.
//!
//! A pattern is runs of letters with stars between them. Wherever a run fits first is where it is best put, and the last
//! one where it makes the match shortest or longest, so that nothing has to be tried twice.

use alloc::{format, string::String, vec, vec::Vec};

/// Longest pattern, in letters: how long matching takes is the product of its length and the value's.
const LONGEST: usize = 1024;

/// A run of a pattern; `None` is any letter.
type Run = Vec<Option<char>>;

/// A pattern.
pub(super) struct Pattern {
    /// With a star between each two of them.
    runs: Vec<Run>,
}

impl Pattern {
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong = |why: String| format!("invalid pattern ({text}) in substitution: {why}");
        if text.len() > LONGEST {
            return Err(format!("a pattern in a substitution is longer than {LONGEST} bytes"));
        }
        let mut runs = vec![Run::new()];
        let mut letters = text.chars();
        while let Some(letter) = letters.next() {
            let letter = match letter {
                '*' => {
                    runs.push(Run::new());
                    continue;
                }
                '?' => None,
                '\\' => match letters.next() {
                    Some(escaped @ ('*' | '?' | '\\' | '/' | '}')) => Some(escaped),
                    Some(other) => return Err(wrong(format!("invalid escape '\\{other}'"))),
                    None => return Err(wrong("invalid escape at its end".into())),
                },
                letter => Some(letter),
            };
            runs.last_mut().expect("there is always one").push(letter);
        }
        Ok(Pattern { runs })
    }

    /// The value without what the pattern fits at its beginning.
    pub fn trim_start<'v>(&self, value: &'v str, longest: bool) -> &'v str {
        let letters: Vec<char> = value.chars().collect();
        let end = self.end(&letters, 0, longest).unwrap_or(0);
        &value[length(&letters[..end])..]
    }

    /// The value without what the pattern fits at its end.
    pub fn trim_end<'v>(&self, value: &'v str, longest: bool) -> &'v str {
        let backwards = |run: &Run| run.iter().rev().copied().collect();
        let reversed = Pattern { runs: self.runs.iter().rev().map(backwards).collect() };
        let letters: Vec<char> = value.chars().rev().collect();
        let end = reversed.end(&letters, 0, longest).unwrap_or(0);
        &value[..value.len() - length(&letters[..end])]
    }

    /// The value with the longest matches replaced, from the left; `None` if that gets longer than a limit.
    pub fn replace(&self, value: &str, by: &str, count: usize, limit_bytes: usize) -> Option<String> {
        let letters: Vec<char> = value.chars().collect();
        let (mut out, mut at) = (String::new(), 0);
        for _ in 0..count {
            let Some((begin, end)) = self.find(&letters, at) else { break };
            out.extend(&letters[at..begin]);
            out.push_str(by);
            // An empty match is before each letter.
            if begin == end {
                out.extend(letters.get(end));
            }
            at = end.max(begin + 1);
            if out.len() > limit_bytes {
                return None;
            }
            if at >= letters.len() {
                break;
            }
        }
        out.extend(letters.get(at..).unwrap_or_default());
        Some(out)
    }

    /// The first match, as long as it can be.
    fn find(&self, letters: &[char], from: usize) -> Option<(usize, usize)> {
        // If what follows the first star fits behind a later place of the first run, it fits behind an earlier one, too.
        let begin = first(&self.runs[0], letters, from)?;
        Some((begin, self.end(letters, begin, true)?))
    }

    /// Where a match that begins here ends.
    fn end(&self, letters: &[char], begin: usize, longest: bool) -> Option<usize> {
        let (head, rest) = self.runs.split_first()?;
        if !fits(head, letters, begin) {
            return None;
        }
        let mut at = begin + head.len();
        let Some((tail, middle)) = rest.split_last() else { return Some(at) };
        for run in middle {
            at = first(run, letters, at)? + run.len();
        }
        let place = match longest {
            true => (at..=letters.len().checked_sub(tail.len())?).rev().find(|at| fits(tail, letters, *at)),
            false => first(tail, letters, at),
        };
        Some(place? + tail.len())
    }
}

fn first(run: &Run, letters: &[char], from: usize) -> Option<usize> {
    (from..=letters.len().checked_sub(run.len())?).find(|at| fits(run, letters, *at))
}

fn fits(run: &Run, letters: &[char], at: usize) -> bool {
    let Some(part) = letters.get(at..at + run.len()) else { return false };
    run.iter().zip(part).all(|(wanted, letter)| wanted.is_none_or(|wanted| wanted == *letter))
}

fn length(letters: &[char]) -> usize {
    letters.iter().map(|letter| letter.len_utf8()).sum()
}
