//! Those who build, each with a store and a name of its own.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use super::{SKIFF, run};

/// The image that all is built on.
pub const BASE: &str = "skiff-bench-base";

/// By which images are found that have no name any more.
const LABEL: &str = "skiff.bench";

/// Who it is.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Skiff,
    Classic,
    BuildKit,
    /// With an OCI runtime, or the one that it takes by itself.
    Buildah(Option<&'static str>),
}

/// One of them.
pub struct Engine {
    pub name: &'static str,
    kind: Kind,
    scratch: PathBuf,
}

/// On a tmpfs wherever /run is.
pub fn run_root(scratch: &Path) -> PathBuf {
    Path::new("/dev/shm").join(scratch.file_name().expect("a scratch directory has a name"))
}

impl Engine {
    /// All there might be, skiff first.
    pub fn all(scratch: &Path) -> Vec<Engine> {
        [
            ("skiff", Kind::Skiff),
            ("docker, classic", Kind::Classic),
            ("docker, BuildKit", Kind::BuildKit),
            ("buildah", Kind::Buildah(None)),
            ("buildah, runc", Kind::Buildah(Some("runc"))),
        ]
        .into_iter()
        .map(|(name, kind)| Engine { name, kind, scratch: scratch.into() })
        .collect()
    }

    /// Its program, and where its store is.
    fn command(&self) -> Command {
        let run = run_root(&self.scratch);
        match self.kind {
            Kind::Skiff => {
                let mut command = Command::new(SKIFF);
                command.env("SKIFF_ROOT", self.scratch.join("data")).env("SKIFF_RUN", run.join("skiff"));
                // That is for the docker beside it.
                command.env_remove("DOCKER_HOST");
                command
            }
            Kind::Classic | Kind::BuildKit => {
                let client = std::env::var_os("DOCKER").unwrap_or_else(|| "docker".into());
                let mut command = Command::new(client);
                command.env("DOCKER_BUILDKIT", if self.kind == Kind::BuildKit { "1" } else { "0" });
                command
            }
            Kind::Buildah(_) => {
                let mut command = Command::new("buildah");
                command.arg("--root").arg(self.scratch.join("buildah"));
                command.arg("--runroot").arg(run.join("buildah"));
                command
            }
        }
    }

    /// What it builds.
    fn tag(&self) -> &'static str {
        match self.kind {
            Kind::Classic => "skiff-bench-classic",
            _ => "skiff-bench",
        }
    }

    /// Takes the base image in.
    ///
    /// # Errors
    /// Why it does not work here.
    pub fn import(&self, tar: &Path) -> Result<(), String> {
        match self.kind {
            Kind::Classic | Kind::BuildKit if std::env::var_os("DOCKER_HOST").is_none() => {
                Err("DOCKER_HOST is not set".into())
            }
            Kind::Buildah(_) => {
                let file = tar.with_file_name("Dockerfile");
                std::fs::write(&file, "FROM scratch\nADD rootfs.tar /\n").unwrap();
                let context = self.scratch.join("base");
                std::fs::create_dir_all(&context).unwrap();
                let _ = std::fs::hard_link(tar, context.join("rootfs.tar"));
                run(self.command().args(["bud", "-q", "-t", BASE, "-f"]).arg(file).arg(context))
            }
            Kind::Classic | Kind::BuildKit => {
                // All that is built on it has the label too.
                let label = format!("LABEL {LABEL}=1");
                run(self.command().args(["import", "--change", &label]).arg(tar).arg(BASE))
            }
            Kind::Skiff => run(self.command().arg("import").arg(tar).arg(BASE)),
        }
    }

    /// Builds what is there, without the network.
    ///
    /// # Errors
    /// Why it does not work here.
    pub fn build(&self, context: &Path, afresh: bool) -> Result<(), String> {
        let mut command = self.command();
        match self.kind {
            Kind::Buildah(runtime) => {
                command.args(["bud", "--layers", "--pull-never"]);
                // Its steps can't be deleted while their images are there.
                command.args(afresh.then_some("--no-cache"));
                command.args(runtime.iter().flat_map(|name| ["--runtime", name]));
            }
            _ => _ = command.arg("build"),
        }
        run(command.args(["-q", "--network", "none", "-t", self.tag()]).arg(context))
    }

    /// Empties its cache.
    pub fn forget(&self) {
        if let Kind::Buildah(_) = self.kind {
            return;
        }
        let _ = run(self.command().args(["rmi", "-f", self.tag()]));
        run(self.command().args(["builder", "prune", "-af"])).unwrap();
    }

    /// Removes what is not below the scratch directory.
    pub fn remove(&self) {
        match self.kind {
            Kind::Skiff => {}
            Kind::Classic | Kind::BuildKit if std::env::var_os("DOCKER_HOST").is_none() => {}
            Kind::Classic | Kind::BuildKit => {
                let _ = run(self.command().args(["rmi", "-f", self.tag(), BASE]));
                let _ = run(self.command().args(["builder", "prune", "-af"]));
                let filter = format!("label={LABEL}");
                let _ = run(self.command().args(["image", "prune", "-f", "--filter", &filter]));
            }
            Kind::Buildah(_) => {
                // It is a mount of its own, and has those of builds that failed.
                let _ = run(Command::new("umount").arg("-R").arg(self.scratch.join("buildah/overlay")));
            }
        }
    }
}
