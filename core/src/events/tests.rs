use alloc::{
    string::{String, ToString},
    vec,
};

use rustix::process::getpid;

use super::*;
use crate::{api::filters::Filters, file::CWD, fork};

struct Scratch(OwnedFd, String);

impl Scratch {
    fn new(name: &str) -> Self {
        let path = format!("/tmp/skiff-events-{name}-{}", getpid().as_raw_nonzero());
        let _ = file::remove_tree(CWD, path.as_str());
        Scratch(file::make_host_directories(&path, 0o700).unwrap(), path)
    }

    fn read(&self, since: i64, until: Option<i64>, filters: &str) -> Vec<String> {
        let at = |seconds| Time::from_unix(seconds, 0);
        let filters = Filters::parse(Some(filters), FILTERS).unwrap();
        let query = Query { since: Some(at(since)), until: until.map(at), filters };
        let mut reader = Reader::open(self.0.as_fd(), query).unwrap();
        let mut seen = vec![];
        while let Some(event) = reader.next_event().unwrap() {
            let event: serde_json::Value = serde_json::from_slice(event).unwrap();
            seen.push(event["Action"].as_str().unwrap().to_string());
        }
        seen
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = file::remove_tree(CWD, self.1.as_str());
    }
}

fn event<'a>(kind: Kind, action: &'a str, id: &'a str, attributes: &'a [(&'a str, &'a str)]) -> Event<'a> {
    Event { kind, action, id, attributes }
}

#[test]
fn events_are_written_as_docker_writes_them() {
    let attributes = [("name", "label"), ("a\"", "<"), ("image", "i:1"), ("name", "web"), ("exitCode", "0")];
    let line = event(Kind::Container, "die", "c1", &attributes).to_line(Time::from_unix(3, 5));
    assert_eq!(
        String::from_utf8(line).unwrap(),
        r#"{"status":"die","id":"c1","from":"i:1","Type":"container","Action":"die","Actor":{"ID":"c1","Attributes":{"a\"":"\u003c","exitCode":"0","image":"i:1","name":"web"}},"scope":"local","time":3,"timeNano":3000000005}"#
            .to_string()
            + "\n"
    );
    let line = event(Kind::Image, "tag", "sha256:1", &[("name", "i:1")]).to_line(Time::from_unix(3, 0));
    assert!(line.starts_with(br#"{"status":"tag","id":"sha256:1","Type":"image","#));
    let line = event(Kind::Volume, "create", "v", &[]).to_line(Time::from_unix(3, 0));
    assert!(line.starts_with(
        br#"{"Type":"volume","Action":"create","Actor":{"ID":"v","Attributes":{}},"scope":"local","time":3,"#
    ));
}

#[test]
fn time_and_filters_select() {
    let scratch = Scratch::new("filters");
    let events = Events::new(&scratch.0).unwrap();
    let web = [("image", "app:1"), ("name", "web"), ("tier", "front")];
    let happened = [
        event(Kind::Image, "tag", "sha256:aa", &[("name", "app:1")]),
        event(Kind::Container, "start", "c1c1", &web),
        event(Kind::Container, "exec_create: sh", "c1c1", &web),
        event(Kind::Volume, "mount", "data", &[("container", "c1c1")]),
        event(Kind::Network, "connect", "n0", &[("name", "none")]),
        event(Kind::Container, "die", "c2c2", &[("image", "other"), ("name", "db")]),
    ];
    for (second, event) in happened.iter().enumerate() {
        events.emit(*event, Time::from_unix(second as i64, 0)).unwrap();
    }
    let all = ["tag", "start", "exec_create: sh", "mount", "connect", "die"];
    assert_eq!(scratch.read(0, None, ""), all);
    assert_eq!(scratch.read(2, Some(3), ""), all[2..4]);
    for (filters, expected) in [
        (r#"{"type":["container"]}"#, &["start", "exec_create: sh", "die"][..]),
        (r#"{"type":["image","volume"]}"#, &["tag", "mount"]),
        (r#"{"event":["start","die"]}"#, &["start", "die"]),
        (r#"{"event":["exec_create"]}"#, &["exec_create: sh"]),
        (r#"{"event":["star"]}"#, &[]),
        (r#"{"container":{"web":true}}"#, &["start", "exec_create: sh"]),
        (r#"{"container":["c1","db"]}"#, &["start", "exec_create: sh", "die"]),
        (r#"{"image":["app"]}"#, &["tag", "start", "exec_create: sh"]),
        (r#"{"image":["sha256:aa"]}"#, &["tag"]),
        (r#"{"label":["tier=front"],"event":["start"]}"#, &["start"]),
        (r#"{"label":["tier=back"]}"#, &[]),
        (r#"{"volume":["data"]}"#, &["mount"]),
        (r#"{"network":["none"]}"#, &["connect"]),
        (r#"{"scope":["swarm"]}"#, &[]),
    ] {
        assert_eq!(scratch.read(0, None, filters), expected, "{filters}");
    }
}

#[test]
fn without_a_time_only_what_comes_is_told_and_following_ends() {
    let scratch = Scratch::new("follow");
    let events = Events::new(&scratch.0).unwrap();
    let emit = |action| events.emit(event(Kind::Volume, action, "v", &[]), Time::now()).unwrap();
    emit("create");
    let mut reader = Reader::open(scratch.0.as_fd(), Query::default()).unwrap();
    emit("mount");
    let mut asked = 0;
    let mut gone = || {
        asked += 1;
        emit("unmount");
        Ok(asked == 3)
    };
    let mut seen = 0;
    let mut sink = |event: Option<&[u8]>| {
        assert!(event.is_none_or(|json| !json.windows(6).any(|part| part == b"create")));
        seen += usize::from(event.is_some());
        Ok(())
    };
    reader.follow(scratch.0.as_fd(), &[], &mut gone, &mut sink).unwrap();
    assert_eq!(seen, 3);
    // A time in the past ends at once, one to come when it has come.
    for ahead in [-1, 30_000_000] {
        let until = Time::now().plus(ahead);
        let query = Query { until: Some(until), ..Query::default() };
        let mut reader = Reader::open(scratch.0.as_fd(), query).unwrap();
        reader.follow(scratch.0.as_fd(), &[], &mut || Ok(false), &mut |_| Ok(())).unwrap();
        assert!(Time::now() > until);
    }
}

#[test]
fn many_writers_lose_nothing_while_one_of_them_rotates() {
    const EVENTS: usize = 400;
    let scratch = Scratch::new("writers");
    let query = Query { since: Some(Time::NEVER), ..Query::default() };
    let mut reader = Reader::open(scratch.0.as_fd(), query).unwrap();
    let mut writers = vec![];
    for _ in 0..4 {
        let run = &scratch.0;
        writers.push(
            fork::child(&[run.as_fd()], || {
                let events = Events::new(run).unwrap();
                for _ in 0..EVENTS {
                    let line = event(Kind::Volume, "create", "v", &[]).to_line(Time::now());
                    if events.append(&line, 20_000).is_err() {
                        return 1;
                    }
                    // The reader can be behind by one file, not by two.
                    let _ = rustix::thread::nanosleep(&crate::clock::timespec(200_000));
                }
                0
            })
            .unwrap(),
        );
    }
    let deadline = crate::clock::monotonic() + 30 * crate::clock::SECOND;
    let mut seen = 0;
    while seen < 4 * EVENTS && crate::clock::monotonic() < deadline {
        while reader.next_event().unwrap().is_some() {
            seen += 1;
        }
        rustix::thread::sched_yield();
    }
    for writer in &writers {
        assert_eq!(fork::wait(&writer.pidfd), Ok(fork::Ended::Exited(0)));
    }
    assert_eq!(seen, 4 * EVENTS);
    let mut names = file::names(&scratch.0, ".").unwrap();
    names.sort();
    assert_eq!(names, ["events", "events.1"]);
}
