use alloc::vec;

use super::*;
use crate::file::CWD;

struct Scratch(OwnedFd, String);

impl Scratch {
    fn new(name: &str) -> Self {
        let path = format!("/tmp/skiff-journal-{name}-{}", rustix::process::getpid().as_raw_nonzero());
        let _ = file::remove_tree(CWD, path.as_str());
        Scratch(file::make_host_directories(&path, 0o700).unwrap(), path)
    }

    fn put(&self, name: &str, text: &str) {
        file::write_all(append(&self.0, name).unwrap(), text.as_bytes()).unwrap();
    }

    fn lines(&self, start: Start) -> Lines {
        Lines::open(self.0.as_fd(), "j", start).unwrap()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = file::remove_tree(CWD, self.1.as_str());
    }
}

fn rest(lines: &mut Lines) -> Vec<String> {
    let mut all = vec![];
    while let Some(line) = lines.next_line().unwrap() {
        all.push(String::from_utf8(line.to_vec()).unwrap());
    }
    all
}

#[test]
fn all_files_are_read_oldest_first_and_a_torn_line_is_left_out() {
    let scratch = Scratch::new("order");
    assert_eq!(rest(&mut scratch.lines(Start::Oldest)), [""; 0]);
    scratch.put("j.10", "a\nb\n");
    // A kill in the middle of a rotation leaves gaps.
    scratch.put("j.2", "c\ntorn");
    scratch.put("j", "d\n\nnot yet");
    scratch.put("j.x", "no\n");
    scratch.put("j.0", "no\n");
    scratch.put("j2", "no\n");
    assert_eq!(rest(&mut scratch.lines(Start::Oldest)), ["a", "b", "c", "d", ""]);
}

#[test]
fn the_last_lines_are_found_from_the_end_across_files() {
    let scratch = Scratch::new("last");
    let long = "x".repeat(30_000);
    scratch.put("j.2", "0\n1\n");
    scratch.put("j.1", &format!("2\n{long}\n4\n"));
    scratch.put("j", "5\n6\ntorn");
    let all = ["0", "1", "2", &long, "4", "5", "6"];
    for count in 0..10 {
        let mut lines = scratch.lines(Start::Last(count));
        let wanted = &all[all.len().saturating_sub(count as usize)..];
        assert_eq!(rest(&mut lines), wanted, "{count}");
        scratch.put("j", "");
    }
}

#[test]
fn a_reader_goes_along_with_every_rotation() {
    let scratch = Scratch::new("follow");
    let mut lines = scratch.lines(Start::Last(0));
    let mut late = scratch.lines(Start::Oldest);
    for number in 0..50 {
        // More rotations than one between two looks, as long as the file that we are in is still there.
        for part in 0..2 {
            scratch.put("j", &format!("{number}.{part}\n"));
            rotate(&scratch.0, "j", 4).unwrap();
        }
        assert_eq!(rest(&mut lines), [format!("{number}.0"), format!("{number}.1")]);
    }
    // Whoever comes late gets what is left.
    assert_eq!(rest(&mut late), ["48.1", "49.0", "49.1"]);
    assert_eq!(file::names(&scratch.0, ".").unwrap().len(), 4);
}

#[test]
fn with_one_file_a_rotation_begins_anew() {
    let scratch = Scratch::new("one");
    let mut lines = scratch.lines(Start::Oldest);
    scratch.put("j", "a\n");
    assert_eq!(rest(&mut lines), ["a"]);
    scratch.put("j", "b\n");
    rotate(&scratch.0, "j", 1).unwrap();
    scratch.put("j", "c\n");
    // The reader has the old file open, and loses nothing.
    assert_eq!(rest(&mut lines), ["b", "c"]);
    assert_eq!(rest(&mut scratch.lines(Start::Oldest)), ["c"]);
}

#[test]
fn lines_that_come_in_pieces_are_whole_and_too_long_ones_are_skipped() {
    let scratch = Scratch::new("long");
    let mut lines = scratch.lines(Start::Oldest);
    scratch.put("j", "begin");
    assert_eq!(rest(&mut lines), [""; 0]);
    scratch.put("j", "-end\n");
    assert_eq!(rest(&mut lines), ["begin-end"]);
    scratch.put("j", &"y".repeat(3 * LINE_MAX));
    assert_eq!(rest(&mut lines), [""; 0]);
    assert!(lines.buffer.capacity() < 2 * LINE_MAX);
    scratch.put("j", "\nafter\n");
    assert_eq!(rest(&mut lines), ["after"]);
}

#[test]
fn nobody_rotates_while_a_reader_looks_at_the_chain() {
    let scratch = Scratch::new("lock");
    let looking = lock(&scratch.0, FlockOperation::LockShared).unwrap();
    assert_eq!(rotate(&scratch.0, "j", 2).unwrap_err(), Errno::AGAIN);
    drop(looking);
    rotate(&scratch.0, "j", 2).unwrap();
}

#[test]
fn a_watch_sees_a_write_and_keeps_a_deadline() {
    let scratch = Scratch::new("watch");
    scratch.put("j", "");
    let watch = Watch::new(scratch.0.as_fd()).unwrap();
    let begun = crate::clock::monotonic();
    watch.wait(&[], Some(begun + 20_000_000)).unwrap();
    assert!(crate::clock::monotonic() - begun >= 20_000_000);
    scratch.put("j", "x");
    watch.wait(&[], None).unwrap();
    let (reader, writer) = rustix::pipe::pipe().unwrap();
    drop(writer);
    watch.wait(&[reader.as_fd()], None).unwrap();
    assert!(crate::clock::monotonic() - begun < 30 * crate::clock::SECOND);
}
