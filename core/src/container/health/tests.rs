use alloc::{vec, vec::Vec};

use super::*;
use crate::clock::SECOND;

const EPOCH: Time = Time::NEVER;

fn settings() -> Settings {
    Settings {
        command: vec!["probe".into()],
        interval_ns: 30 * SECOND,
        timeout_ns: 10 * SECOND,
        start_period_ns: 0,
        start_interval_ns: 5 * SECOND,
        retries: 3,
    }
}

/// A health and the two clocks, which go together.
struct Bench {
    health: Health,
    now: i64,
}

impl Bench {
    fn new(settings: Settings) -> Bench {
        // The clock starts somewhere.
        Bench { health: Health::new(settings, 1000 * SECOND), now: 1000 * SECOND }
    }

    fn time(&self) -> Time {
        EPOCH.plus(self.now)
    }

    /// Lets time pass until the next probe is due, and lets it take `takes_ns`; seconds since the start, and the new
    /// verdict.
    fn probe(&mut self, exit_code: i32, takes_ns: i64) -> (i64, Option<Status>) {
        let due = self.health.due().unwrap();
        self.now = due - 1;
        assert_eq!(self.health.tick(self.now, self.time()), Action::Wait);
        self.now = due;
        assert_eq!(self.health.tick(self.now, self.time()), Action::Start);
        assert_eq!(self.health.tick(self.now, self.time()), Action::Wait);
        self.now += takes_ns;
        let verdict = self.health.ended(exit_code, self.now, self.time());
        ((due - 1000 * SECOND) / SECOND, verdict)
    }
}

#[test]
fn three_failures_in_a_row_mean_unhealthy_and_one_success_healthy() {
    let mut bench = Bench::new(settings());
    assert_eq!(bench.health.status(), Status::Starting);
    assert_eq!(bench.probe(1, SECOND), (30, None));
    // The interval counts from the end of the probe before.
    assert_eq!(bench.probe(1, SECOND), (61, None));
    assert_eq!(bench.health.status(), Status::Starting);
    assert_eq!(bench.probe(2, 0), (92, Some(Status::Unhealthy)));
    assert_eq!(bench.probe(2, 0), (122, None));
    assert_eq!(bench.health.failing_streak(), 4);
    assert_eq!(bench.probe(0, 0), (152, Some(Status::Healthy)));
    assert_eq!(bench.health.failing_streak(), 0);
    assert_eq!(bench.probe(0, 0), (182, None));
    assert_eq!(bench.probe(1, 0), (212, None));
    assert_eq!((bench.health.status(), bench.health.failing_streak()), (Status::Healthy, 1));
}

#[test]
fn failures_in_the_start_period_do_not_count_until_the_first_success() {
    let start = Settings { start_period_ns: 12 * SECOND, retries: 1, ..settings() };
    let mut bench = Bench::new(start.clone());
    assert_eq!(bench.probe(1, 0), (5, None));
    // It began within the period, so it does not count although it ended behind it; the next one does.
    assert_eq!(bench.probe(1, 4 * SECOND), (10, None));
    assert_eq!(bench.health.failing_streak(), 0);
    assert_eq!(bench.probe(1, 0), (44, Some(Status::Unhealthy)));
    let mut bench = Bench::new(start);
    assert_eq!(bench.probe(0, 0), (5, Some(Status::Healthy)));
    // Healthy ends the period: the long interval, and failures count.
    assert_eq!(bench.probe(1, 0), (35, Some(Status::Unhealthy)));
}

#[test]
fn a_probe_that_takes_too_long_is_killed_and_has_failed_whatever_it_says() {
    let mut bench = Bench::new(Settings { retries: 1, ..settings() });
    bench.now = bench.health.due().unwrap();
    assert_eq!(bench.health.tick(bench.now, bench.time()), Action::Start);
    bench.health.output(b"working");
    assert_eq!(bench.health.due(), Some(bench.now + 10 * SECOND));
    bench.now += 10 * SECOND;
    assert_eq!(bench.health.tick(bench.now, bench.time()), Action::Kill);
    // It is killed once.
    assert_eq!(bench.health.due(), None);
    assert_eq!(bench.health.tick(bench.now + SECOND, bench.time()), Action::Wait);
    bench.now += SECOND;
    assert_eq!(bench.health.ended(0, bench.now, bench.time()), Some(Status::Unhealthy));
    let probe = &bench.health.log()[0];
    assert_eq!(probe.exit_code, -1);
    assert_eq!(probe.output, b"Health check exceeded timeout (10s)");
    assert_eq!(probe.end.since(probe.start), 11 * SECOND);
}

#[test]
fn the_last_five_probes_are_remembered_with_4096_bytes_each() {
    let mut bench = Bench::new(settings());
    for number in 0..7 {
        bench.probe(number, 0);
    }
    let codes: Vec<i32> = bench.health.log().iter().map(|probe| probe.exit_code).collect();
    assert_eq!(codes, [2, 3, 4, 5, 6]);
    for (sizes, kept) in
        [(&[4096][..], 4096), (&[4097], 4099), (&[4000, 96], 4096), (&[4000, 97, 5000], 4099)]
    {
        bench.now = bench.health.due().unwrap();
        bench.health.tick(bench.now, bench.time());
        for size in sizes {
            bench.health.output(&vec![b'x'; *size]);
        }
        bench.health.ended(0, bench.now, bench.time());
        let output = &bench.health.log()[4].output;
        assert_eq!((output.len(), output.ends_with(b"x...")), (kept, kept > 4096), "{sizes:?}");
    }
}

#[test]
fn a_paused_container_is_not_probed() {
    let mut bench = Bench::new(settings());
    bench.now = bench.health.due().unwrap();
    bench.health.tick(bench.now, bench.time());
    bench.health.paused();
    assert_eq!(bench.health.due(), None);
    // The probe that was frozen ends when somebody kills it: that says nothing.
    assert_eq!(bench.health.ended(137, bench.now, bench.time()), None);
    assert_eq!((bench.health.due(), bench.health.log().len()), (None, 0));
    bench.health.resumed(bench.now);
    assert_eq!(bench.health.due(), Some(bench.now + 30 * SECOND));
}

#[test]
fn a_restart_begins_anew_and_keeps_the_log() {
    let mut bench = Bench::new(Settings { start_period_ns: SECOND, retries: 1, ..settings() });
    bench.probe(0, 0);
    bench.health.restarted(bench.now);
    assert_eq!((bench.health.status(), bench.health.log().len()), (Status::Starting, 1));
    assert_eq!(bench.health.due(), Some(bench.now + 5 * SECOND));
}

#[test]
fn the_api_gets_json() {
    let mut bench = Bench::new(settings());
    assert_eq!(bench.health.to_json(), br#"{"Status":"starting","FailingStreak":0,"Log":[]}"#);
    bench.probe(1, SECOND);
    bench.now = bench.health.due().unwrap();
    bench.health.tick(bench.now, bench.time());
    bench.health.could_not_run("exec \"x\": not found", bench.now, bench.time());
    let json: serde_json::Value = serde_json::from_slice(&bench.health.to_json()).unwrap();
    assert_eq!(json["FailingStreak"], 2);
    assert_eq!(json["Log"][0]["Start"], "0001-01-01T00:17:10Z");
    assert_eq!(json["Log"][0]["End"], "0001-01-01T00:17:11Z");
    assert_eq!((&json["Log"][0]["ExitCode"], &json["Log"][1]["ExitCode"]), (&1.into(), &(-1).into()));
    assert_eq!(json["Log"][1]["Output"], "exec \"x\": not found");
}
