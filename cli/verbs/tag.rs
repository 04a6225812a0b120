//! `skiff tag`: POST /images/{name}/tag -> one more name of an image.

use argh::prelude::*;

use super::{Context, Verb};
use crate::{
    client::{path, query},
    failure::Outcome,
};

/// give an image one more name
#[derive(FromArgs, ArgsInfo)]
pub struct Tag {
    #[argh(positional)]
    source: String,
    #[argh(positional)]
    target: String,
}

impl Verb for Tag {
    fn run(self, context: &Context) -> Outcome {
        let (repository, tag) = split(&self.target);
        let mut target = path(&["images", &self.source, "tag"]);
        query(&mut target, "repo", repository);
        query(&mut target, "tag", tag);
        context.client.post(&target, None)?;
        Ok(0)
    }
}

/// Repository and tag of a name; `latest` if it has none.
pub fn split(name: &str) -> (&str, &str) {
    match name.rsplit_once(':') {
        // The colon of a host's port has a slash behind it.
        Some((repository, tag)) if !tag.contains('/') => (repository, tag),
        _ => (name, "latest"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_colon_of_a_port_is_not_that_of_a_tag() {
        assert_eq!(split("a:1"), ("a", "1"));
        assert_eq!(split("localhost:5000/a"), ("localhost:5000/a", "latest"));
        assert_eq!(split("localhost:5000/a:2"), ("localhost:5000/a", "2"));
    }
}
