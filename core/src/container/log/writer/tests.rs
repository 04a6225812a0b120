use alloc::{
    format,
    string::{String, ToString},
    vec,
    vec::Vec,
};

use super::*;
use crate::{
    container::log::{Query, Reader},
    file::CWD,
};

const ALL: Settings = Settings::Files { max_size_bytes: None, max_files: 1 };

struct Scratch(OwnedFd, String);

impl Scratch {
    fn new(name: &str) -> Self {
        let path = format!("/tmp/skiff-log-{name}-{}", rustix::process::getpid().as_raw_nonzero());
        let _ = file::remove_tree(CWD, path.as_str());
        Scratch(file::make_host_directories(&path, 0o700).unwrap(), path)
    }

    fn writer(&self, settings: Settings) -> Writer {
        Writer::open(&self.0, settings).unwrap()
    }

    fn text(&self) -> String {
        String::from_utf8(file::read(&self.0, FILE_NAME, 10 << 20).unwrap()).unwrap()
    }

    fn entries(&self, query: Query) -> Vec<(Stream, i64, String)> {
        let mut reader = Reader::open(self.0.as_fd(), query).unwrap();
        let mut all = vec![];
        while let Some(entry) = reader.next_entry().unwrap() {
            let text = String::from_utf8(entry.text.to_vec()).unwrap();
            all.push((entry.stream, entry.time.unix(), text));
        }
        all
    }

    fn texts(&self) -> Vec<String> {
        self.entries(Query::default()).into_iter().map(|(_, _, text)| text).collect()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = file::remove_tree(CWD, self.1.as_str());
    }
}

fn at(seconds: i64) -> Time {
    Time::from_unix(seconds, 0)
}

#[test]
fn each_stream_keeps_its_unfinished_line_until_the_rest_comes() {
    let scratch = Scratch::new("tails");
    let mut writer = scratch.writer(ALL);
    writer.write(Stream::Stdout, b"one\ntwo-", at(1)).unwrap();
    writer.write(Stream::Stderr, b"error\n\nhalf \xc3", at(2)).unwrap();
    writer.write(Stream::Stdout, b"end\n", at(3)).unwrap();
    writer.write(Stream::Stderr, b"\xa9\n", at(4)).unwrap();
    writer.write(Stream::Stdout, b"no break", at(5)).unwrap();
    writer.finish(at(6)).unwrap();
    writer.finish(at(7)).unwrap();
    use Stream::{Stderr, Stdout};
    let expected = [
        (Stdout, 1, "one\n"),
        (Stderr, 2, "error\n"),
        (Stderr, 2, "\n"),
        (Stdout, 3, "two-end\n"),
        (Stderr, 4, "half é\n"),
        (Stdout, 6, "no break"),
    ];
    assert_eq!(scratch.entries(Query::default()), expected.map(|(s, t, text)| (s, t, text.to_string())));
    assert!(scratch.text().starts_with(
        "{\"log\":\"one\\n\",\"stream\":\"stdout\",\"time\":\"1970-01-01T00:00:01Z\"}\n{\"log\":\"error\\n\","
    ));
}

#[test]
fn long_lines_become_parts_of_16_kib_with_one_time_however_they_come() {
    let line = "x".repeat(PART_MAX - 1)
        + "\n"
        + &"y".repeat(PART_MAX)
        + "\n"
        + &"z".repeat(3 * PART_MAX + 5)
        + "\nend\n";
    for step in [1, 1000, PART_MAX, line.len()] {
        let scratch = Scratch::new("parts");
        let mut writer = scratch.writer(ALL);
        for (number, chunk) in line.as_bytes().chunks(step).enumerate() {
            writer.write(Stream::Stdout, chunk, at(number as i64)).unwrap();
        }
        let lengths: Vec<usize> = scratch.texts().iter().map(String::len).collect();
        assert_eq!(lengths, [PART_MAX, PART_MAX, 1, PART_MAX, PART_MAX, PART_MAX, 6, 4], "{step}");
        assert_eq!(scratch.texts().concat(), line);
        let times: Vec<i64> = scratch.entries(Query::default()).iter().map(|entry| entry.1).collect();
        assert!(times[1] == times[2] && times[3..7].iter().all(|time| *time == times[3]), "{times:?}");
        assert!(writer.output.unwrap().buffer.capacity() <= BUFFER);
    }
}

#[test]
fn parts_are_cut_between_characters_and_the_worst_text_fits_the_buffer() {
    let scratch = Scratch::new("worst");
    let mut writer = scratch.writer(ALL);
    let euros = "\u{20ac}".repeat(20_000);
    writer.write(Stream::Stdout, euros.as_bytes(), at(1)).unwrap();
    writer.write(Stream::Stdout, b"\n", at(1)).unwrap();
    let texts = scratch.texts();
    assert_eq!(texts.concat(), euros.clone() + "\n");
    assert_eq!(texts[0].len(), PART_MAX - PART_MAX % 3);
    writer.write(Stream::Stdout, &[1; 100_000], at(1)).unwrap();
    writer.write(Stream::Stdout, &[b'\n'; 100_000], at(1)).unwrap();
    writer.write(Stream::Stdout, &[0xff; 40_000], at(1)).unwrap();
    writer.finish(at(1)).unwrap();
    assert!(writer.output.unwrap().buffer.capacity() <= BUFFER);
    let rest = scratch.texts().concat();
    let expected =
        euros + "\n" + &"\u{1}".repeat(100_000) + &"\n".repeat(100_000) + &"\u{fffd}".repeat(40_000);
    assert!(rest == expected);
}

#[test]
fn files_are_rotated_at_their_size_and_the_oldest_goes() {
    let scratch = Scratch::new("rotate");
    let mut writer = scratch.writer(Settings::Files { max_size_bytes: Some(1000), max_files: 3 });
    let mut reader = Reader::open(scratch.0.as_fd(), Query::default()).unwrap();
    for number in 0..200 {
        writer.write(Stream::Stdout, format!("{number}\n").as_bytes(), at(number)).unwrap();
        // Somebody who follows misses nothing.
        assert_eq!(reader.next_entry().unwrap().unwrap().text, format!("{number}\n").as_bytes());
        assert_eq!(reader.next_entry().unwrap(), None);
    }
    let mut names = file::names(&scratch.0, ".").unwrap();
    names.sort();
    assert_eq!(names, ["log.json", "log.json.1", "log.json.2"]);
    for name in names {
        let size = file::read(&scratch.0, name.as_str(), 2000).unwrap().len();
        assert!(size < 1100, "{size}");
    }
    let texts = scratch.texts();
    assert!((20..50).contains(&texts.len()));
    assert_eq!(texts.last().unwrap(), "199\n");
    let five = scratch.entries(Query { tail: Some(25), ..Query::default() });
    assert_eq!(five.len(), 25);
    assert_eq!(five[0].2, "175\n");
}

#[test]
fn a_log_goes_on_after_a_crash_with_a_line_torn() {
    let scratch = Scratch::new("torn");
    scratch.writer(ALL).write(Stream::Stdout, b"before\n", at(1)).unwrap();
    file::write_all(append(&scratch.0, FILE_NAME).unwrap(), b"{\"log\":\"to").unwrap();
    assert_eq!(scratch.texts(), ["before\n"]);
    let mut writer = scratch.writer(ALL);
    writer.write(Stream::Stdout, b"after\n", at(2)).unwrap();
    assert_eq!(scratch.texts(), ["before\n", "after\n"]);
    drop(writer);
    scratch.writer(ALL).write(Stream::Stdout, b"again\n", at(2)).unwrap();
    assert_eq!(scratch.text().lines().count(), 4);
}

#[test]
fn driver_none_writes_nothing() {
    let scratch = Scratch::new("none");
    let mut writer = scratch.writer(Settings::Nothing);
    writer.write(Stream::Stdout, b"lost\n", at(1)).unwrap();
    writer.finish(at(1)).unwrap();
    assert_eq!(file::names(&scratch.0, ".").unwrap(), [""; 0]);
    assert_eq!(scratch.texts(), [""; 0]);
}

#[test]
fn a_full_disk_costs_the_lines_that_do_not_fit_and_nothing_else() {
    let scratch = Scratch::new("full");
    let mut writer = scratch.writer(ALL);
    writer.write(Stream::Stdout, b"one\n", at(1)).unwrap();
    let flags = rustix::fs::OFlags::WRONLY | rustix::fs::OFlags::CLOEXEC;
    let full = rustix::fs::openat(CWD, "/dev/full", flags, rustix::fs::Mode::empty()).unwrap();
    let output = writer.output.as_mut().unwrap();
    let good = output.file.replace(full);
    assert_eq!(writer.write(Stream::Stdout, b"two\nhalf", at(2)), Err(Errno::NOSPC));
    writer.output.as_mut().unwrap().file = good;
    writer.write(Stream::Stdout, b"-whole\n", at(3)).unwrap();
    assert_eq!(scratch.texts(), ["one\n", "half-whole\n"]);
}

#[test]
fn time_stream_and_tail_select_lines() {
    let scratch = Scratch::new("query");
    let mut writer = scratch.writer(ALL);
    for second in 0..10 {
        let stream = if second % 2 == 0 { Stream::Stdout } else { Stream::Stderr };
        writer.write(stream, format!("{second}\n").as_bytes(), at(second)).unwrap();
    }
    let texts = |query| scratch.entries(query).into_iter().map(|entry| entry.2).collect::<Vec<_>>().concat();
    let all = Query::default();
    assert_eq!(texts(Query { since: Some(at(7)), ..all }), "7\n8\n9\n");
    assert_eq!(texts(Query { until: Some(at(2)), ..all }), "0\n1\n2\n");
    assert_eq!(texts(Query { since: Some(at(2)), until: Some(at(3)), ..all }), "2\n3\n");
    assert_eq!(texts(Query { stderr: false, tail: Some(3), ..all }), "8\n");
    assert_eq!(texts(Query { stdout: false, ..all }), "1\n3\n5\n7\n9\n");
    assert_eq!(texts(Query { tail: Some(0), ..all }), "");
}

#[test]
fn following_ends_when_the_container_has_stopped_and_everything_was_seen() {
    let scratch = Scratch::new("follow");
    let mut writer = scratch.writer(ALL);
    writer.write(Stream::Stdout, b"first\n", at(1)).unwrap();
    let mut reader = Reader::open(scratch.0.as_fd(), Query::default()).unwrap();
    let mut asked = 0;
    let mut seen = String::new();
    let mut stopped = || {
        // Each answer changes the directory, so that the next wait returns.
        asked += 1;
        writer.write(Stream::Stdout, format!("{asked}\n").as_bytes(), at(2)).unwrap();
        Ok(asked == 3)
    };
    let mut sink = |entry: Option<&crate::container::log::Entry<'_>>| {
        seen.push_str(entry.map_or(".", |entry| core::str::from_utf8(entry.text).unwrap().trim()));
        Ok(())
    };
    reader.follow(scratch.0.as_fd(), &[], &mut stopped, &mut sink).unwrap();
    assert_eq!(seen, "first1.2.3.");
}

#[test]
fn who_has_read_the_log_gets_what_is_behind_it_and_the_unfinished_lines() {
    let scratch = Scratch::new("since");
    let mut writer = scratch.writer(ALL);
    let since = |writer: &Writer, from| {
        let mut all = Vec::new();
        let result = writer.since(from, &mut |stream, text| {
            all.push(format!("{} {}", stream.name(), String::from_utf8_lossy(text)));
        });
        result.map(|()| all)
    };
    let mut reader = Reader::open(scratch.0.as_fd(), Query::default()).unwrap();
    assert_eq!(since(&writer, reader.position()), Ok(vec![]), "there is no file yet");
    writer.write(Stream::Stdout, b"one\ntwo\nthr", at(1)).unwrap();
    assert_eq!(since(&writer, reader.position()), Err(Errno::AGAIN), "there is one now");
    assert_eq!(reader.next_entry().unwrap().unwrap().text, b"one\n");
    let behind_one = reader.position();
    assert_eq!(since(&writer, behind_one).unwrap(), ["stdout two\n", "stdout thr"]);
    while reader.next_entry().unwrap().is_some() {}
    let end = reader.position();
    assert_eq!(since(&writer, end).unwrap(), ["stdout thr"]);
    writer.write(Stream::Stderr, b"oh\n", at(2)).unwrap();
    assert_eq!(since(&writer, end).unwrap(), ["stderr oh\n", "stdout thr"]);
    writer.write(Stream::Stdout, b"ee\n", at(3)).unwrap();
    assert_eq!(since(&writer, end).unwrap(), ["stderr oh\n", "stdout three\n"]);
    for _ in 0..100 {
        writer.write(Stream::Stdout, &[&[b'x'; 12_000][..], b"\n"].concat(), at(4)).unwrap();
    }
    assert_eq!(since(&writer, end), Err(Errno::AGAIN), "too much for one go");
    writer.output.as_mut().unwrap().rotate().unwrap();
    assert_eq!(since(&writer, end), Err(Errno::AGAIN), "another file");
}
