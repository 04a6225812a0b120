//! The flags of `build`: one table for the parser, the help text and the options of the engine.

use alloc::{string::String, vec::Vec};

use argh::{CommandInfoWithArgs, FlagInfo, Optionality, PositionalInfo};
use skiff_core::{build::Options, clock::Time, image::annotations::Annotations, units};

use super::{annotations, secrets, ssh};
use crate::{
    create::{
        self, environment,
        flags::{
            Flags, invalid, many, one, refused, refused_switch, refused_unless_false, switch, with_short,
        },
    },
    environment::Environment,
};

const ATTESTATIONS: &str = "attestations are not made";
const BUILDERS: &str = "there is one builder, this machine";

/// All flags, by name.
pub static FLAGS: &[FlagInfo<'static>] = &[
    many("--add-host", "name:ip", "add a line to /etc/hosts"),
    refused("--allow", None, "steps get no rights beyond the usual ones"),
    many("--annotation", "[type:]key=value", "note in the image's manifest, for `save` and -o type=oci"),
    refused("--attest", None, ATTESTATIONS),
    many("--build-arg", "name[=value]", "set an ARG; a name alone takes the environment's value"),
    many("--build-context", "name=path", "another directory, or docker-image://IMAGE, for FROM and --from"),
    refused("--builder", None, BUILDERS),
    many("--cache-from", "type=local,src=dir", "take steps from a directory that --cache-to has written"),
    many("--cache-to", "type=local,dest=dir[,mode=max]", "write the result's steps, or all, to a directory"),
    one("--call", "method", "instead of building: check, outline, targets or ast"),
    one("--cgroup-parent", "path", "control group to make those of RUN steps in"),
    switch("--check", None, "check the Dockerfile instead of building; as --call check"),
    refused_switch("--compress", None, "a context is never sent compressed"),
    one("--cpu-period", "us", "length of a period of --cpu-quota"),
    one("--cpu-quota", "us", "processor time of a RUN step in each period"),
    with_short(one("--cpu-shares", "weight", "share of processor time of RUN steps; 1024 is normal"), 'c'),
    one("--cpuset-cpus", "list", "processors that RUN steps run on, for example 0-2,4"),
    one("--cpuset-mems", "list", "memory nodes that RUN steps use"),
    refused_switch("--disable-content-trust", None, "there is no content trust to disable"),
    switch("--explain", None, "say of each step why it was or was not in the cache"),
    with_short(one("--file", "path", "the Dockerfile; `-` reads it from stdin"), 'f'),
    one("--force-rm", "bool", "leave no intermediate container; none is ever left"),
    one("--format", "format", "with --call: text, json or sarif"),
    one("--iidfile", "file", "write the image's id to a file"),
    refused("--isolation", None, "only for containers on Windows"),
    many("--label", "name=value", "set a label of the image"),
    switch("--load", None, "put the image into the store, which is always done"),
    with_short(one("--memory", "bytes", "limit of a RUN step's memory"), 'm'),
    one("--memory-swap", "bytes", "limit of its memory and swap together; -1: no limit"),
    one("--metadata-file", "file", "write what became of the build to a file, as JSON"),
    one("--network", "mode", "network of RUN steps: a name, none, host or default"),
    switch("--no-cache", None, "take no step from the cache"),
    many("--no-cache-filter", "stage", "take no step of these stages from the cache"),
    with_short(
        many(
            "--output",
            "type=t[,dest=path]",
            "where the result goes: local, tar, oci, docker or image; or a directory",
        ),
        'o',
    ),
    one("--platform", "platform", "platform of the image; only this machine's is there"),
    one("--print", "method", "old name of --call"),
    one("--progress", "form", "auto, plain, tty, quiet or rawjson; default auto"),
    refused_unless_false("--provenance", ATTESTATIONS),
    refused_switch("--pull", None, "registries are not supported yet: images are those in the store"),
    refused_switch("--push", None, crate::NO_REGISTRIES),
    switch("--quiet", Some('q'), "print only the image's id"),
    one("--rm", "bool", "remove intermediate containers; there are none"),
    refused_unless_false("--sbom", ATTESTATIONS),
    many("--secret", "id=name[,src=file|,env=name]", "a secret for RUN --mount=type=secret"),
    refused("--security-opt", None, "steps run with the usual restrictions"),
    one("--shm-size", "bytes", "size of /dev/shm in RUN steps"),
    one("--source-date-epoch", "seconds", "no time in the image is later than this one"),
    switch("--squash", None, "make one layer of all that is built on the base image"),
    many("--ssh", "id[=socket]", "an SSH agent for RUN --mount=type=ssh; default: SSH_AUTH_SOCK"),
    with_short(many("--tag", "name[:tag]", "name the image"), 't'),
    one("--target", "stage", "stop at this stage"),
    one("--trace", "file", "write when each step ran to a file, for chrome://tracing or Perfetto"),
    many("--ulimit", "name=soft[:hard]", "resource limit of processes in RUN steps"),
];

static POSITIONALS: &[PositionalInfo<'static>] = &[PositionalInfo {
    name: "path",
    description: "directory of the context, or `-` for a Dockerfile or a tar on stdin",
    optionality: Optionality::Required,
    hidden: false,
}];

/// The table in argh's form.
pub fn info() -> CommandInfoWithArgs {
    CommandInfoWithArgs {
        description: "build an image from a Dockerfile",
        flags: FLAGS,
        positionals: POSITIONALS,
        ..Default::default()
    }
}

/// The options of the engine, but for those that name directories.
pub fn options(flags: &Flags, own: &Environment) -> Result<Options, String> {
    let epoch = flags.one("--source-date-epoch").or_else(|| own.filled("SOURCE_DATE_EPOCH"));
    let epoch = epoch.map(|text| {
        let seconds = Time::parse_unix(text).map_err(|_| "it is seconds since 1970".into());
        seconds.map_err(|reason: String| invalid("--source-date-epoch", text, &reason))
    });
    if flags.one("--rm") == Some("false") {
        return Err("--rm=false: there are no intermediate containers to keep".into());
    }
    let mut noted = Annotations::default();
    flags.all("--annotation").try_for_each(|text| annotations::read(text, &mut noted))?;
    let shm_size = flags.number("--shm-size", units::size)?;
    Ok(Options {
        target: flags.text("--target"),
        tags: flags.list("--tag"),
        args: arguments(flags.all("--build-arg"), own)?,
        labels: environment::labels(core::iter::empty(), flags.all("--label"))?.into_iter().collect(),
        annotations: noted,
        platform: flags.text("--platform"),
        no_cache: flags.on("--no-cache"),
        squash: flags.on("--squash"),
        no_cache_filter: flags
            .list("--no-cache-filter")
            .iter()
            .flat_map(|names| names.split(','))
            .map(Into::into)
            .collect(),
        network: flags.text("--network"),
        extra_hosts: flags.list("--add-host"),
        shm_size: shm_size as u64,
        resources: create::limits(flags)?,
        ulimits: create::ulimits(flags)?,
        cgroup_parent: flags.text("--cgroup-parent"),
        secrets: flags.all("--secret").map(|text| secrets::read(text, own)).collect::<Result<_, _>>()?,
        ssh: flags.all("--ssh").map(|text| ssh::read(text, own)).collect::<Result<_, _>>()?,
        epoch: epoch.transpose()?.map(Time::unix),
        explain: flags.on("--explain"),
        ..Options::default()
    })
}

/// `--build-arg`: a name without a value, which the environment doesn't have either, is as if it was not given.
fn arguments<'a>(
    given: impl Iterator<Item = &'a str>,
    own: &Environment,
) -> Result<Vec<(String, String)>, String> {
    let mut all = Vec::new();
    for text in given {
        let (name, value) = match text.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (text, own.get(text)),
        };
        if name.is_empty() {
            return Err(format!("invalid build argument '{text}': empty name"));
        }
        all.extend(value.map(|value| (name.into(), value.into())));
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use skiff_core::{container::config::Ulimit, process::cgroup::Resources};

    use super::*;

    fn read(line: &str) -> Result<Options, String> {
        let own = Environment::new([c"HTTP_PROXY=p", c"SOURCE_DATE_EPOCH=7"].into_iter());
        let words: Vec<&str> = line.split(' ').collect();
        options(&Flags::collect_of(FLAGS, &words)?.0, &own)
    }

    #[test]
    fn the_table_is_sorted_and_short_letters_are_unique() {
        assert!(FLAGS.windows(2).all(|pair| pair[0].long < pair[1].long));
        let mut letters: Vec<char> = FLAGS.iter().filter_map(|row| row.short).collect();
        letters.sort_unstable();
        assert!(letters.windows(2).all(|pair| pair[0] != pair[1]), "{letters:?}");
    }

    #[test]
    fn flags_become_options() {
        let options = read(
            "--tag a --tag b:1 --build-arg A=1=2 --build-arg HTTP_PROXY --build-arg NONE --label l --shm-size 64k \
             --no-cache-filter x,y --provenance false --network host --explain --squash --",
        );
        let expected = Options {
            tags: ["a".into(), "b:1".into()].into(),
            args: [("A".into(), "1=2".into()), ("HTTP_PROXY".into(), "p".into())].into(),
            labels: [("l".into(), String::new())].into(),
            no_cache_filter: ["x".into(), "y".into()].into(),
            network: "host".into(),
            shm_size: 65536,
            epoch: Some(7),
            explain: true,
            squash: true,
            ..Options::default()
        };
        assert_eq!(options, Ok(expected));
        assert_eq!(read("--source-date-epoch 9 --").map(|options| options.epoch), Ok(Some(9)));
    }

    #[test]
    fn limits_are_read_as_those_of_run() {
        let options = read(
            "--memory 64m --memory-swap -1 --cpu-shares 512 --cpu-period 50000 --cpu-quota 25000 --cpuset-cpus 0,1 \
             --cpuset-mems 0 --cgroup-parent /builds --ulimit nofile=1 --ulimit nofile=8:9 --",
        );
        let resources = Resources {
            memory: 64 << 20,
            memory_swap: -1,
            cpu_shares: 512,
            cpu_period: 50_000,
            cpu_quota: 25_000,
            cpuset_cpus: "0,1".into(),
            cpuset_mems: "0".into(),
            ..Resources::default()
        };
        let expected = Options {
            resources,
            ulimits: [Ulimit { name: "nofile".into(), soft: 8, hard: 9 }].into(),
            cgroup_parent: "/builds".into(),
            epoch: Some(7),
            ..Options::default()
        };
        assert_eq!(options, Ok(expected));
        let error = "invalid argument \"abc\" for --memory: invalid size: 'abc'";
        assert_eq!(read("--memory abc --"), Err(error.into()));
    }

    #[test]
    fn what_is_not_there_is_refused_with_its_reason() {
        for (line, error) in [
            ("--pull true --", "--pull: registries are not supported yet: images are those in the store"),
            ("--provenance mode=max --", "--provenance: attestations are not made"),
            ("--rm false --", "--rm=false: there are no intermediate containers to keep"),
            ("--build-arg =x --", "invalid build argument '=x': empty name"),
            (
                "--source-date-epoch x --",
                "invalid argument \"x\" for --source-date-epoch: it is seconds since 1970",
            ),
        ] {
            assert_eq!(read(line), Err(error.into()));
        }
        for line in ["--pull false --", "--sbom false --", "--rm true --force-rm true --"] {
            assert!(read(line).is_ok(), "{line}");
        }
    }
}
