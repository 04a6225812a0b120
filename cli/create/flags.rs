//! The flags of `run` and `create`: one table that the parser, the help text and the settings' builder share.

use alloc::{string::String, vec::Vec};

use argh::{CommandInfoWithArgs, FlagInfo, FlagInfoKind, Optionality, PositionalInfo};

const fn row(
    long: &'static str,
    short: Option<char>,
    kind: FlagInfoKind<'static>,
    optionality: Optionality,
    description: &'static str,
) -> FlagInfo<'static> {
    FlagInfo { kind, optionality, long, short, description, hidden: false }
}

/// Present or not.
pub const fn switch(long: &'static str, short: Option<char>, description: &'static str) -> FlagInfo<'static> {
    row(long, short, FlagInfoKind::Switch, Optionality::Optional, description)
}

/// One value; the last one counts.
pub const fn one(long: &'static str, arg_name: &'static str, description: &'static str) -> FlagInfo<'static> {
    row(long, None, FlagInfoKind::Option { arg_name }, Optionality::Optional, description)
}

/// Any number of values.
pub const fn many(
    long: &'static str,
    arg_name: &'static str,
    description: &'static str,
) -> FlagInfo<'static> {
    row(long, None, FlagInfoKind::Option { arg_name }, Optionality::Repeating, description)
}

/// The same with a letter.
pub const fn with_short(mut flag: FlagInfo<'static>, short: char) -> FlagInfo<'static> {
    flag.short = Some(short);
    flag
}

/// A flag of docker's that is understood, but not served: using it is an error that gives the reason.
pub const fn refused(long: &'static str, short: Option<char>, reason: &'static str) -> FlagInfo<'static> {
    let mut flag =
        row(long, short, FlagInfoKind::Option { arg_name: REFUSED }, Optionality::Repeating, reason);
    flag.hidden = true;
    flag
}

/// The same for a flag without a value.
pub const fn refused_switch(
    long: &'static str,
    short: Option<char>,
    reason: &'static str,
) -> FlagInfo<'static> {
    let mut flag =
        row(long, short, FlagInfoKind::Option { arg_name: "bool" }, Optionality::Repeating, reason);
    flag.hidden = true;
    flag
}

/// The same for a flag that asks for nothing if its value is `false`.
pub const fn refused_unless_false(long: &'static str, reason: &'static str) -> FlagInfo<'static> {
    let mut flag =
        row(long, None, FlagInfoKind::Option { arg_name: "false" }, Optionality::Repeating, reason);
    flag.hidden = true;
    flag
}

const REFUSED: &str = "refused";
const REALTIME: &str = "cgroup2 has no limit for real-time scheduling";
const WINDOWS: &str = "only for containers on Windows";

/// All flags of `run`, by name, those that `create` has too first.
pub static FLAGS: &[FlagInfo<'static>] = &[
    many("--add-host", "name:ip", "add a line to /etc/hosts"),
    refused("--annotation", None, "annotations are for OCI runtimes; --label keeps a note"),
    with_short(many("--attach", "stream", "attach only to stdin, stdout or stderr"), 'a'),
    one("--blkio-weight", "10-1000", "share of block IO"),
    many("--blkio-weight-device", "device:weight", "share of IO of one block device"),
    many("--cap-add", "name", "add a capability, or ALL"),
    many("--cap-drop", "name", "drop a capability, or ALL"),
    one("--cgroup-parent", "path", "control group to make the container's in"),
    one("--cgroupns", "private|host", "control group namespace"),
    one("--cidfile", "file", "write the container's id to a new file"),
    refused("--cpu-count", None, WINDOWS),
    refused("--cpu-percent", None, WINDOWS),
    one("--cpu-period", "us", "length of a period of --cpu-quota"),
    one("--cpu-quota", "us", "processor time in each period"),
    refused("--cpu-rt-period", None, REALTIME),
    refused("--cpu-rt-runtime", None, REALTIME),
    with_short(one("--cpu-shares", "weight", "share of processor time; 1024 is normal"), 'c'),
    one("--cpus", "number", "number of processors, for example 1.5"),
    one("--cpuset-cpus", "list", "processors to run on, for example 0-2,4"),
    one("--cpuset-mems", "list", "memory nodes to use"),
    many("--device", "host[:inside][:rwm]", "let a device of the host in"),
    many("--device-cgroup-rule", "rule", "allow devices, for example 'c 13:* rwm'"),
    many("--device-read-bps", "device:rate", "limit of bytes read in a second"),
    many("--device-read-iops", "device:rate", "limit of reads in a second"),
    many("--device-write-bps", "device:rate", "limit of bytes written in a second"),
    many("--device-write-iops", "device:rate", "limit of writes in a second"),
    refused_switch("--disable-content-trust", None, "there is no content trust"),
    many("--dns", "ip", "name server"),
    many("--dns-option", "option", "option for resolv.conf"),
    many("--dns-search", "domain", "search domain"),
    one("--domainname", "name", "NIS domain name"),
    one("--entrypoint", "program", "program instead of the image's entry point"),
    with_short(many("--env", "name[=value]", "environment variable"), 'e'),
    many("--env-file", "file", "environment variables, one a line"),
    many("--expose", "port[/proto]", "port that --publish-all publishes"),
    refused("--gpus", None, "GPUs are not there yet; --device lets single devices in"),
    many("--group-add", "group", "supplementary group"),
    one("--health-cmd", "command", "shell command that tells whether the container works"),
    one("--health-interval", "time", "time between two checks"),
    one("--health-retries", "count", "failures in a row that mean unhealthy"),
    one("--health-start-interval", "time", "time between checks during the start period"),
    one("--health-start-period", "time", "time while failures don't count"),
    one("--health-timeout", "time", "longest time of one check"),
    with_short(one("--hostname", "name", "host name inside"), 'h'),
    switch("--init", None, "run an init that forwards signals and reaps processes"),
    switch("--interactive", Some('i'), "keep stdin open"),
    refused("--io-maxbandwidth", None, WINDOWS),
    refused("--io-maxiops", None, WINDOWS),
    one("--ip", "address", "IPv4 address on the network"),
    one("--ip6", "address", "IPv6 address on the network"),
    one("--ipc", "mode", "IPC namespace: private, shareable, none, host, container:NAME"),
    refused("--isolation", None, WINDOWS),
    refused("--kernel-memory", None, "cgroup2 has no limit for kernel memory alone"),
    with_short(many("--label", "name[=value]", "label"), 'l'),
    many("--label-file", "file", "labels, one a line"),
    many("--link", "container[:alias]", "name by which it knows another container"),
    many("--link-local-ip", "address", "link-local address on the network"),
    one("--log-driver", "json-file|none", "where output is kept"),
    many("--log-opt", "name=value", "max-size and max-file of json-file"),
    one("--mac-address", "address", "hardware address on the network"),
    with_short(one("--memory", "bytes", "limit of memory"), 'm'),
    one("--memory-reservation", "bytes", "memory that is reclaimed last"),
    one("--memory-swap", "bytes", "limit of memory and swap together; -1: no limit"),
    refused("--memory-swappiness", None, "cgroup2 has no swappiness of a group"),
    many("--mount", "type=..,src=..,dst=..", "bind, volume or tmpfs mount"),
    one("--name", "name", "name of the container"),
    many("--network", "name|none|host|container:NAME", "network; default bridge"),
    many("--network-alias", "name", "name by which others on the network know it"),
    switch("--no-healthcheck", None, "no health checks, whatever the image says"),
    switch("--oom-kill-disable", None, "only where control groups know it (not cgroup2)"),
    one("--oom-score-adj", "-1000..1000", "preference of the out-of-memory killer"),
    one("--pid", "host|container:NAME", "process namespace"),
    one("--pids-limit", "count", "limit of processes; -1: no limit"),
    one("--platform", "os/arch", "platform of the image; only this host's"),
    switch("--privileged", None, "all rights, all devices, nothing masked"),
    with_short(
        many("--publish", "[ip:][host:]port[/proto]", "port of the host that leads to one inside"),
        'p',
    ),
    switch("--publish-all", Some('P'), "publish all exposed ports on any ports of the host"),
    one("--pull", "missing|never", "what to do if the image is not there"),
    switch("--quiet", Some('q'), "no progress of pulling"),
    switch("--read-only", None, "the root file system can't be written"),
    one("--restart", "policy", "no, on-failure[:n], always, unless-stopped"),
    switch("--rm", None, "remove the container when it ends"),
    one("--runtime", "name", "only skiff itself"),
    many("--security-opt", "option", "no-new-privileges, seccomp=FILE|unconfined, systempaths=unconfined"),
    one("--shm-size", "bytes", "size of /dev/shm; default 64m"),
    one("--stop-signal", "signal", "signal that asks to stop"),
    one("--stop-timeout", "seconds", "time before SIGKILL"),
    refused("--storage-opt", None, "the size of a root file system can't be limited"),
    many("--sysctl", "name=value", "kernel setting of the container's namespaces"),
    one("--timens", "host|private[,..]", "time namespace; monotonic=seconds, boottime=seconds ahead"),
    many("--tmpfs", "path[:options]", "tmpfs mount"),
    switch("--tty", Some('t'), "a terminal inside"),
    many("--ulimit", "name=soft[:hard]", "resource limit of processes"),
    refused_switch("--use-api-socket", None, "mount the socket of `skiff serve` with -v instead"),
    with_short(one("--user", "user[:group]", "user inside, by name or number"), 'u'),
    one("--userns", "host|auto", "user namespace; auto: root inside is nobody on the host"),
    one("--uts", "host", "UTS namespace"),
    with_short(many("--volume", "[source:]path[:options]", "volume or bind mount"), 'v'),
    refused("--volume-driver", None, "there is one driver, local"),
    many("--volumes-from", "container[:ro]", "the volumes of another container"),
    with_short(one("--workdir", "path", "working directory inside"), 'w'),
    switch("--detach", Some('d'), "run in the background and print the id"),
    one("--detach-keys", "keys", "keys that detach; default ctrl-p,ctrl-q"),
    one("--sig-proxy", "bool", "pass signals on; default true"),
];

/// How many of them, the last ones, `create` doesn't have.
const RUN_ONLY: usize = 3;

static POSITIONALS: &[PositionalInfo<'static>] = &[
    PositionalInfo {
        name: "image",
        description: "name of the image, or `host`",
        optionality: Optionality::Required,
        hidden: false,
    },
    PositionalInfo {
        name: "command",
        description: "program and its arguments instead of the image's",
        optionality: Optionality::Greedy,
        hidden: false,
    },
];

/// The table of `run` in argh's form.
pub fn of_run() -> CommandInfoWithArgs {
    info("run a program in a new container", FLAGS)
}

/// The table of `create` in argh's form.
pub fn of_create() -> CommandInfoWithArgs {
    info("make a container without starting it", &FLAGS[..FLAGS.len() - RUN_ONLY])
}

fn info(description: &'static str, flags: &'static [FlagInfo<'static>]) -> CommandInfoWithArgs {
    CommandInfoWithArgs { description, flags, positionals: POSITIONALS, ..Default::default() }
}

/// The flags that were given, in order.
#[derive(Debug, Default)]
pub struct Flags {
    table: &'static [FlagInfo<'static>],
    given: Vec<(&'static str, String)>,
}

impl Flags {
    /// Those of `run` and `create`.
    pub fn collect(words: &[&str]) -> Result<(Flags, Vec<String>), String> {
        Self::collect_of(FLAGS, words)
    }

    /// Reads words that are sorted out already: `--long`, `--long value`, then `--`. Gives the flags and what is after.
    pub fn collect_of(
        table: &'static [FlagInfo<'static>],
        words: &[&str],
    ) -> Result<(Flags, Vec<String>), String> {
        let mut flags = Flags { table, given: Vec::new() };
        let mut rest = words.iter();
        while let Some(word) = rest.next() {
            let Some(row) = table.iter().find(|row| row.long == *word) else { break };
            let value: String = match row.kind {
                FlagInfoKind::Switch => String::new(),
                FlagInfoKind::Option { .. } => rest.next().copied().unwrap_or_default().into(),
            };
            if row.hidden {
                // What is switched off asks for nothing.
                if value == "false" && row.kind != (FlagInfoKind::Option { arg_name: REFUSED }) {
                    continue;
                }
                return Err(format!("{}: {}", row.long, row.description));
            }
            flags.given.push((row.long, value));
        }
        Ok((flags, rest.copied().map(String::from).collect()))
    }

    /// The flag's values, in order.
    pub fn all<'a>(&'a self, long: &'static str) -> impl Iterator<Item = &'a str> {
        debug_assert!(
            self.table.iter().any(|row| row.long == long && !row.hidden),
            "{long} is not in the table"
        );
        self.given.iter().filter(move |(name, _)| *name == long).map(|(_, value)| value.as_str())
    }

    /// The flag's value, if it was given.
    pub fn one(&self, long: &'static str) -> Option<&str> {
        self.all(long).last()
    }

    /// Whether the flag was given.
    pub fn on(&self, long: &'static str) -> bool {
        self.one(long).is_some()
    }

    /// The flag's value, empty if it was not given.
    pub fn text(&self, long: &'static str) -> String {
        self.one(long).unwrap_or_default().into()
    }

    /// The flag's values.
    pub fn list(&self, long: &'static str) -> Vec<String> {
        self.all(long).map(String::from).collect()
    }

    /// The flag's value as a number, 0 if it was not given.
    pub fn number(&self, long: &'static str, read: fn(&str) -> Result<i64, String>) -> Result<i64, String> {
        match self.one(long) {
            None => Ok(0),
            Some(text) => read(text).map_err(|reason| invalid(long, text, &reason)),
        }
    }
}

/// The message for a wrong value.
pub fn invalid(long: &str, value: &str, reason: &str) -> String {
    format!("invalid argument \"{value}\" for {long}: {reason}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn collect(line: &str) -> Result<(Flags, Vec<String>), String> {
        Flags::collect(&line.split(' ').collect::<Vec<_>>())
    }

    #[test]
    fn the_table_is_sorted_and_short_letters_are_unique() {
        assert!(of_create().flags.windows(2).all(|pair| pair[0].long < pair[1].long));
        let mut letters: Vec<char> = FLAGS.iter().filter_map(|row| row.short).collect();
        letters.sort_unstable();
        assert!(letters.windows(2).all(|pair| pair[0] != pair[1]), "{letters:?}");
        let run_only = FLAGS[FLAGS.len() - RUN_ONLY..].iter().map(|row| row.long);
        assert!(run_only.eq(["--detach", "--detach-keys", "--sig-proxy"]));
    }

    #[test]
    fn what_was_given_is_found_by_name() {
        let (flags, rest) = collect("--tty --env A=1 --name x --env B -- image sh -c").unwrap();
        assert!(flags.on("--tty") && !flags.on("--rm"));
        assert_eq!(flags.list("--env"), ["A=1", "B"]);
        assert_eq!((flags.one("--name"), flags.one("--user")), (Some("x"), None));
        assert_eq!(rest, ["image", "sh", "-c"]);
    }

    #[test]
    fn what_is_not_served_is_refused_with_a_reason() {
        let error = collect("--volume-driver x -- image").unwrap_err();
        assert_eq!(error, "--volume-driver: there is one driver, local");
    }
}
