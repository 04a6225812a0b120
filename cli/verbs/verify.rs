//! `skiff image verify`: POST /skiff/images/verify -> what is damaged, a line each.

use argh::prelude::*;
use serde_json::{Value, json};
use skiff_core::api::head::Method;

use super::{Context, Verb, items, number, text};
use crate::{
    client::{Upload, path, query},
    failure::{Failure, Outcome},
    format::one,
    output, progress,
    template::Missing,
};

/// compare images, or everything in the store, with their digests; ends with 1 if something is damaged
#[derive(FromArgs, ArgsInfo)]
pub struct Verify {
    /// how to show what is damaged: "json" or a Go template
    #[argh(option, arg_name = "string")]
    format: Option<String>,
    /// show nothing but what is damaged
    #[argh(switch, short = 'q')]
    quiet: bool,
    /// remove what is damaged and the images that need it, so that they can be loaded again
    #[argh(switch)]
    remove: bool,
    #[argh(positional)]
    images: Vec<String>,
}

impl Verb for Verify {
    fn run(self, context: &Context) -> Outcome {
        let mut target = path(&["skiff", "images", "verify"]);
        for image in &self.images {
            query(&mut target, "name", image);
        }
        if self.remove {
            query(&mut target, "remove", "1");
        }
        let format = self.format.as_deref().filter(|format| !format.is_empty());
        let mut damaged = None;
        let reply = context.client.request(Method::Post, &target, Upload::Nothing)?;
        progress::follow(reply, &mut |step| {
            if let Some(verified) = step.get("verified") {
                damaged = Some(number(verified, "Damaged"));
                if self.quiet || format.is_some() {
                    return Ok(());
                }
            }
            let shown = match (step.get("damaged"), format) {
                (Some(finding), Some(format)) => one(format, finding, Missing::Field("finding"))?,
                (None, Some(_)) => return Ok(()),
                (_, None) => line(step),
            };
            output::write(shown.as_bytes())
        })?;
        match damaged {
            Some(count) => Ok(u8::from(count != 0)),
            None => Err(Failure::new("verify images: the engine's answer ended early")),
        }
    }
}

fn line(step: &Value) -> String {
    let none = json!(null);
    let part = |key: &str| step.get(key).unwrap_or(&none);
    let named = |one: &Value| format!("{} {}", text(one, "Kind"), text(one, "ID"));
    let needed = |one: &Value| {
        let images: Vec<&str> = items(one, "Images").iter().filter_map(Value::as_str).collect();
        if images.is_empty() { String::new() } else { format!(" ({})", images.join(", ")) }
    };
    for (key, word) in [("damaged", "damaged"), ("kept", "kept")] {
        let one = part(key);
        if one.is_object() {
            return format!("{word} {}: {}{}\n", named(one), text(one, "Reason"), needed(one));
        }
    }
    if part("dropped").is_object() {
        return format!("dropped {}\n", named(part("dropped")));
    }
    for key in ["Untagged", "Deleted"] {
        if let Some(name) = part("removed").get(key).and_then(Value::as_str) {
            return format!("{key}: {name}\n");
        }
    }
    let verified = part("verified");
    if !verified.is_object() {
        return String::new();
    }
    let count = |key: &str, thing: &str| {
        let count = number(verified, key);
        format!("{count} {thing}{}", if count == 1 { "" } else { "s" })
    };
    let all =
        [count("Layers", "layer"), count("Blobs", "blob"), count("Images", "image"), count("Names", "name")];
    let damaged = match number(verified, "Damaged") {
        0 => "nothing is damaged".into(),
        count => format!("{count} damaged"),
    };
    format!("Verified {}: {damaged}\n", all.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_thing_that_is_told_is_a_line() {
        let finding = json!({"Kind": "layer", "ID": "sha256:1", "Reason": "gone", "Images": ["a:1", "b:1"]});
        assert_eq!(line(&json!({"damaged": finding})), "damaged layer sha256:1: gone (a:1, b:1)\n");
        assert_eq!(line(&json!({"kept": finding})), "kept layer sha256:1: gone (a:1, b:1)\n");
        assert_eq!(line(&json!({"dropped": {"Kind": "blob", "ID": "x"}})), "dropped blob x\n");
        assert_eq!(line(&json!({"removed": {"Untagged": "a:1"}})), "Untagged: a:1\n");
        let verified = json!({"Layers": 1, "Blobs": 2, "Images": 0, "Names": 3, "Damaged": 0});
        let text = "Verified 1 layer, 2 blobs, 0 images, 3 names: nothing is damaged\n";
        assert_eq!(line(&json!({"verified": verified})), text);
    }
}
