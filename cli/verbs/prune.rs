//! `skiff container|image|volume|network|builder|system prune`: POST /containers|images|volumes|networks|build/prune ->
//! what was removed.

use argh::prelude::*;
use serde_json::Value;

use super::{Context, Verb, confirmed, filters, items, number};
use crate::{
    client::query,
    failure::{Failure, Outcome},
    output,
    table::size,
};

/// remove all stopped containers
#[derive(FromArgs, ArgsInfo)]
pub struct Containers {
    /// don't ask
    #[argh(switch, short = 'f')]
    force: bool,
    /// remove only what fits the condition (until=..., label=...)
    #[argh(option, arg_name = "filter")]
    filter: Vec<String>,
}

/// remove images that nobody needs
#[derive(FromArgs, ArgsInfo)]
pub struct Images {
    /// all that no container uses, not just those without a name
    #[argh(switch, short = 'a')]
    all: bool,
    /// don't ask
    #[argh(switch, short = 'f')]
    force: bool,
    /// remove only what fits the condition (until=..., label=...)
    #[argh(option, arg_name = "filter")]
    filter: Vec<String>,
}

/// remove volumes that no container uses
#[derive(FromArgs, ArgsInfo)]
pub struct Volumes {
    /// those with a name too, not just anonymous ones
    #[argh(switch, short = 'a')]
    all: bool,
    /// don't ask
    #[argh(switch, short = 'f')]
    force: bool,
    /// remove only what fits the condition (label=...)
    #[argh(option, arg_name = "filter")]
    filter: Vec<String>,
}

/// remove networks that no container is on
#[derive(FromArgs, ArgsInfo)]
pub struct Networks {
    /// don't ask
    #[argh(switch, short = 'f')]
    force: bool,
    /// remove only what fits the condition (until=..., label=...)
    #[argh(option, arg_name = "filter")]
    filter: Vec<String>,
}

/// remove build steps that no image needs
#[derive(FromArgs, ArgsInfo)]
pub struct Builder {
    /// all steps, and the caches of RUN --mount=type=cache
    #[argh(switch, short = 'a')]
    all: bool,
    /// don't ask
    #[argh(switch, short = 'f')]
    force: bool,
    /// remove only what fits the condition (until=...)
    #[argh(option, arg_name = "filter")]
    filter: Vec<String>,
}

/// remove stopped containers, and networks and images that nobody needs
#[derive(FromArgs, ArgsInfo)]
pub struct System {
    /// all images that no container uses, not just those without a name
    #[argh(switch, short = 'a')]
    all: bool,
    /// don't ask
    #[argh(switch, short = 'f')]
    force: bool,
    /// remove only what fits the condition (until=..., label=...)
    #[argh(option, arg_name = "filter")]
    filter: Vec<String>,
    /// anonymous volumes too
    #[argh(switch)]
    volumes: bool,
}

impl Verb for Containers {
    fn run(self, context: &Context) -> Outcome {
        let wanted = filters(&self.filter)?;
        if !self.force && !confirmed("This will remove all stopped containers.")? {
            return Ok(0);
        }
        show(context, &[(CONTAINERS, wanted)])
    }
}

impl Verb for Images {
    fn run(self, context: &Context) -> Outcome {
        let warning = if self.all {
            "This will remove all images without at least one container associated to them."
        } else {
            "This will remove all dangling images."
        };
        let wanted = of_images(&self.filter, self.all)?;
        if !self.force && !confirmed(warning)? {
            return Ok(0);
        }
        show(context, &[(IMAGES, wanted)])
    }
}

impl Verb for Volumes {
    fn run(mut self, context: &Context) -> Outcome {
        let which = if self.all { "all" } else { "anonymous" };
        if self.all {
            self.filter.push("all=true".into());
        }
        let wanted = filters(&self.filter)?;
        let warning = format!("This will remove {which} local volumes not used by at least one container.");
        if !self.force && !confirmed(&warning)? {
            return Ok(0);
        }
        show(context, &[(VOLUMES, wanted)])
    }
}

impl Verb for Networks {
    fn run(self, context: &Context) -> Outcome {
        let wanted = filters(&self.filter)?;
        let warning = "This will remove all custom networks not used by at least one container.";
        if !self.force && !confirmed(warning)? {
            return Ok(0);
        }
        remove(context, &[(NETWORKS, wanted)]).map(|_| 0)
    }
}

impl Verb for Builder {
    fn run(self, context: &Context) -> Outcome {
        let wanted = filters(&self.filter)?;
        let which = if self.all { "all" } else { "all dangling" };
        if !self.force && !confirmed(&format!("This will remove {which} build cache."))? {
            return Ok(0);
        }
        show(context, &[(build_cache(self.all), wanted)])
    }
}

impl Verb for System {
    fn run(self, context: &Context) -> Outcome {
        let wanted = filters(&self.filter)?;
        let by_time =
            self.filter.iter().any(|filter| filter.trim_start().to_lowercase().starts_with("until="));
        if self.volumes && by_time {
            return Err(Failure::new("ERROR: The \"until\" filter is not supported with \"--volumes\""));
        }
        if !self.force && !confirmed(&self.warning())? {
            return Ok(0);
        }
        let mut all = vec![(CONTAINERS, wanted.clone()), (NETWORKS, wanted.clone())];
        if self.volumes {
            all.push((VOLUMES, wanted.clone()));
        }
        all.push((IMAGES, of_images(&self.filter, self.all)?));
        all.push((build_cache(self.all), wanted));
        show(context, &all)
    }
}

impl System {
    /// Docker's words.
    fn warning(&self) -> String {
        let mut text = String::from(
            "This will remove:\n  - all stopped containers\n  - all networks not used by at least one container\n",
        );
        if self.volumes {
            text.push_str("  - all anonymous volumes not used by at least one container\n");
        }
        text.push_str(match self.all {
            true => "  - all images without at least one container associated to them\n  - all build cache\n",
            false => "  - all dangling images\n  - unused build cache\n",
        });
        if !self.filter.is_empty() {
            let mut sorted = self.filter.clone();
            skiff_core::sort::by(&mut sorted, Ord::cmp);
            text.push_str("\n  Items to be pruned will be filtered with:\n");
            sorted.iter().for_each(|filter| text.push_str(&format!("  - {filter}\n")));
        }
        text
    }
}

/// The filters of a prune of images.
fn of_images(given: &[String], all: bool) -> Result<String, Failure> {
    filters(&[given, &[format!("dangling={}", !all)]].concat())
}

/// A kind of things: where it is asked for, where the answer lists them, what stands above them.
type Kind = [&'static str; 3];

const CONTAINERS: Kind = ["containers/prune", "ContainersDeleted", "Deleted Containers:"];
const NETWORKS: Kind = ["networks/prune", "NetworksDeleted", "Deleted Networks:"];
const VOLUMES: Kind = ["volumes/prune", "VolumesDeleted", "Deleted Volumes:"];
const IMAGES: Kind = ["images/prune", "ImagesDeleted", "Deleted Images:"];

/// Steps of builds: all, or only those that no image needs.
fn build_cache(all: bool) -> Kind {
    [if all { "build/prune?all=1" } else { "build/prune" }, "CachesDeleted", "Deleted build cache objects:"]
}

/// Asks the engine to prune all these kinds with their filters, and shows what is gone and how much room that made.
fn show(context: &Context, kinds: &[(Kind, String)]) -> Outcome {
    let bytes = remove(context, kinds)?;
    output::line(&format!("Total reclaimed space: {}", size(bytes, 4)))?;
    Ok(0)
}

/// The same without how much room that made, which this gives.
fn remove(context: &Context, kinds: &[(Kind, String)]) -> Result<u64, Failure> {
    let mut bytes = 0_u64;
    for ([kind, key, heading], wanted) in kinds {
        let mut target = format!("/{kind}");
        if !wanted.is_empty() {
            query(&mut target, "filters", wanted);
        }
        let done = context.client.post(&target, None)?;
        output::write(list(heading, items(&done, key)).as_bytes())?;
        bytes = bytes.saturating_add(u64::try_from(number(&done, "SpaceReclaimed")).unwrap_or(0));
    }
    Ok(bytes)
}

fn list(heading: &str, removed: &[Value]) -> String {
    let mut out = String::new();
    for one in removed {
        match (one, one.get("Untagged"), one.get("Deleted")) {
            (Value::String(name), ..) => out.push_str(name),
            (_, Some(Value::String(name)), _) => out.extend(["untagged: ", name]),
            (_, _, Some(Value::String(name))) => out.extend(["deleted: ", name]),
            _ => continue,
        }
        out.push('\n');
    }
    if out.is_empty() { out } else { [heading, "\n", &out, "\n"].concat() }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_gone_stands_below_its_heading() {
        let removed = json!([{"Untagged": "a:1"}, {"Deleted": "sha256:0"}]);
        let text = list("Deleted Images:", removed.as_array().unwrap());
        assert_eq!(text, "Deleted Images:\nuntagged: a:1\ndeleted: sha256:0\n\n");
        assert_eq!(list("Deleted Volumes:", &["v".into()]), "Deleted Volumes:\nv\n\n");
        assert_eq!(list("Deleted Volumes:", &[]), "");
    }

    #[test]
    fn the_warning_says_what_goes() {
        let all = System {
            all: true,
            force: false,
            filter: vec!["label=b".into(), "label=a".into()],
            volumes: true,
        };
        // Recorded from docker 28.
        assert_eq!(
            all.warning(),
            "This will remove:\n  - all stopped containers\n  - all networks not used by at least one container\n  \
             - all anonymous volumes not used by at least one container\n  - all images without at least one container \
             associated to them\n  - all build cache\n\n  Items to be pruned will be filtered with:\n  - label=a\n  \
             - label=b\n"
        );
    }
}
