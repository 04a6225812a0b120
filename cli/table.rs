//! Columns and human numbers, as Docker prints them. Pure.

use alloc::{string::String, vec::Vec};

/// Lines with cells ended by tabs -> aligned text. A column is as wide as its widest cell and the padding, and at least
/// `least`; what follows the last tab of a line is in no column.
///
/// A column is a run of lines that have a cell there, as in Go's text/tabwriter.
pub fn align(text: &str, least: usize, padding: usize) -> String {
    // All cells with the number of their characters, and where each line begins among them.
    let (mut cells, mut lines) = (Vec::new(), vec![0]);
    let (mut begin, mut width) = (0, 0);
    for (at, byte) in text.bytes().chain([b'\n']).enumerate() {
        match byte {
            b'\t' | b'\n' => {
                cells.push((&text[begin..at], width));
                (begin, width) = (at + 1, 0);
                if byte == b'\n' {
                    lines.push(cells.len());
                }
            }
            // In the middle of a character.
            0x80..0xc0 => {}
            _ => width += 1,
        }
    }
    // The last cell of a line is in no column.
    let columns = |line: usize| lines[line + 1] - lines[line] - 1;
    let mut widths = vec![None; cells.len()];
    for start in 0..lines.len() - 1 {
        for column in 0..columns(start) {
            if widths[lines[start] + column].is_some() {
                continue;
            }
            let block = (start..lines.len() - 1).take_while(|line| columns(*line) > column);
            let block = block.map(|line| lines[line] + column);
            let widest = block.clone().map(|cell| cells[cell].1).max().unwrap_or(0);
            // Only an empty column is not padded.
            let width = if widest == 0 && least == 0 { 0 } else { (widest + padding).max(least) };
            block.for_each(|cell| widths[cell] = Some(width));
        }
    }
    let mut out = String::with_capacity(text.len() * 2);
    for line in lines.windows(2) {
        for cell in line[0]..line[1] {
            let (text, width) = cells[cell];
            out.push_str(text);
            let space = widths[cell].map_or(0, |wanted| wanted.saturating_sub(width));
            out.extend(core::iter::repeat_n(' ', space));
        }
        out.push('\n');
    }
    out.pop();
    out
}

fn width(cell: &str) -> usize {
    cell.chars().count()
}

/// The text cut to `most` characters, the last of them an ellipsis.
pub fn shorten(text: &str, most: usize) -> String {
    if width(text) <= most {
        return text.into();
    }
    text.chars().take(most.saturating_sub(1)).chain(['…']).collect()
}

/// Bytes in powers of 1000 with so many significant digits: `1.23MB` (3), `1.235MB` (4).
pub fn size(bytes: u64, digits: u32) -> String {
    human(bytes, 1000, digits, &["B", "kB", "MB", "GB", "TB", "PB", "EB"])
}

/// Bytes in powers of 1024 with four significant digits: `3.815MiB`.
pub fn binary_size(bytes: u64) -> String {
    human(bytes, 1024, 4, &["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"])
}

fn human(bytes: u64, base: u128, digits: u32, units: &[&str]) -> String {
    let bytes = u128::from(bytes);
    let (mut unit, mut divisor) = (0, 1);
    while bytes >= divisor * base {
        unit += 1;
        divisor *= base;
    }
    let whole_digits = (bytes / divisor).checked_ilog10().unwrap_or(0) + 1;
    let decimals = digits.saturating_sub(whole_digits);
    let scaled = (bytes * 10_u128.pow(decimals) + divisor / 2) / divisor;
    let text = with_point(scaled, decimals as usize);
    let text = if decimals > 0 { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    [text, units[unit]].concat()
}

/// A number with so many decimals, at most 18.
pub fn fixed(value: f64, decimals: usize) -> String {
    if !value.is_finite() {
        return if value.is_nan() {
            "NaN".into()
        } else if value > 0.0 {
            "+Inf".into()
        } else {
            "-Inf".into()
        };
    }
    let decimals = decimals.min(18);
    let scale = (0..decimals).fold(1.0, |scale, _| scale * 10.0);
    // Saturates beyond 10^38, where nothing sensible is counted.
    let exact = value.abs() * scale;
    let whole = exact as u128;
    let scaled = whole + u128::from(exact - whole as f64 >= 0.5);
    let sign = if value < 0.0 && scaled != 0 { "-" } else { "" };
    [sign, &with_point(scaled, decimals)].concat()
}

fn with_point(scaled: u128, decimals: usize) -> String {
    let mut text = format!("{scaled:0width$}", width = decimals + 1);
    if decimals > 0 {
        text.insert(text.len() - decimals, '.');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_dockers() {
        let table = align("CONTAINER ID\tNAME\tIMAGE\naaaaaaaaaaaa\tweb\tbusybox\nb\t\tx\n", 10, 3);
        assert_eq!(
            table,
            "CONTAINER ID   NAME      IMAGE\naaaaaaaaaaaa   web       busybox\nb                        x\n"
        );
        assert_eq!(align("NAME\tX\n123456789\té\n", 10, 3), "NAME        X\n123456789   é\n");
        assert_eq!(align("UID\tPID\nroot\t1\n", 20, 3), "UID                 PID\nroot                1\n");
    }

    #[test]
    fn a_column_ends_where_a_line_has_no_cell_there() {
        assert_eq!(align("a\tb\nlonger line\nccccccc\td\n", 0, 1), "a b\nlonger line\nccccccc d\n");
    }

    #[test]
    fn sizes_have_dockers_digits() {
        // Recorded from docker 28: `ps -s` and `images` (3 digits), prune and VirtualSize (4), stats (binary).
        let rows = [(0, "0B", "0B"), (999, "999B", "999B"), (1000, "1kB", "1kB"), (4096, "4.1kB", "4.096kB")];
        let more = [
            (1_234_567, "1.23MB", "1.235MB"),
            (12_345_678, "12.3MB", "12.35MB"),
            (77_821_234, "77.8MB", "77.82MB"),
        ];
        for (bytes, three, four) in rows.into_iter().chain(more) {
            assert_eq!((size(bytes, 3).as_str(), size(bytes, 4).as_str()), (three, four), "{bytes}");
        }
        assert_eq!(binary_size(4_000_000), "3.815MiB");
        assert_eq!(binary_size(1 << 30), "1GiB");
        assert_eq!(binary_size(u64::MAX), "16EiB");
        assert_eq!(size(u64::MAX, 4), "18.45EB");
    }

    #[test]
    fn numbers_are_rounded_to_their_decimals() {
        assert_eq!(fixed(20.0, 2), "20.00");
        assert_eq!(fixed(0.3725, 2), "0.37");
        assert_eq!(fixed(-1.5, 0), "-2");
        assert_eq!(fixed(0.05, 1), "0.1");
        assert_eq!(fixed(f64::NAN, 1), "NaN");
    }

    #[test]
    fn a_cut_text_ends_with_an_ellipsis() {
        assert_eq!(shorten("/bin/sh -c \"while true\"", 20), "/bin/sh -c \"while t…");
        assert_eq!(shorten("short", 20), "short");
    }
}
