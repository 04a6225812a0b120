//! `--help`: a verb's table entry and argh's flag table -> text, laid out as Docker's.

use alloc::{string::String, vec::Vec};

use argh::FlagInfoKind;
use skiff_core::sort;

use crate::verbs::{Entry, VERBS};

const GLOBAL: &str = "\
Options:
      --data-root string         Where images, containers and volumes are (SKIFF_ROOT; /var/lib/skiff)
      --run-root string          Where the state of running containers is (SKIFF_RUN; /run/skiff)
      --default-network string   The network of containers that name none (SKIFF_NETWORK; bridge)
  -H, --host address             Talk to a daemon at unix:///PATH, tcp://HOST:PORT or ssh://[USER@]HOST instead of none
                                 (SKIFF_HOST, DOCKER_HOST)
      --tlsverify                On the network, ask the daemon for its certificate and show one (DOCKER_TLS_VERIFY)
      --tlscacert path           Who vouches for the daemon (ca.pem in DOCKER_CERT_PATH or ~/.docker)
      --tlscert path             The certificate to show (cert.pem there)
      --tlskey path              Its key (key.pem there)
  -c, --context string           Talk to the daemon of this context (DOCKER_CONTEXT; see `skiff context`)
  -D, --debug                    Show the requests to the engine
  -v, --version                  Show the version and end
      --help                     Show this
";

/// The help of the program itself.
pub fn program() -> String {
    let mut text = String::from(
        "Usage:  skiff [OPTIONS] COMMAND\n\nBuilds and runs containers, with no daemon\n\nCommands:\n",
    );
    let plain = |entry: &&Entry| !first_name(entry).contains(' ');
    list(&mut text, VERBS.iter().filter(plain).map(|entry| (first_name(entry), about(entry))));
    text.push_str("\nManagement forms: ");
    text.push_str(&groups().join(", "));
    text.push_str(" (as in `skiff container ls`)\n\n");
    text.push_str(GLOBAL);
    text.push_str("\nRun 'skiff COMMAND --help' for more information on a command.\n");
    text
}

/// The help of a management form, such as `container`.
pub fn group(group: &str) -> String {
    let mut text = format!("Usage:  skiff {group} COMMAND\n\nCommands:\n");
    list(
        &mut text,
        VERBS.iter().filter_map(|entry| {
            let name = entry.names.split('|').find_map(|name| member(name, group))?;
            Some((name, about(entry)))
        }),
    );
    text.push_str(&format!("\nRun 'skiff {group} COMMAND --help' for more information on a command.\n"));
    text
}

/// The help of one verb.
pub fn verb(entry: &Entry, called: &str) -> String {
    let info = (entry.info)();
    let mut text = format!("Usage:  skiff {called} {}\n\n{}\n", entry.usage, capital(info.description));
    if entry.names.contains('|') {
        text.push_str("\nAliases:\n  skiff ");
        text.push_str(&entry.names.replace('|', ", skiff "));
        text.push('\n');
    }
    let mut rows = Vec::new();
    for flag in info.flags.iter().filter(|flag| !flag.hidden && flag.long != "--help") {
        let short = flag.short.map_or("    ".into(), |letter| format!("-{letter}, "));
        let value = match flag.kind {
            FlagInfoKind::Option { arg_name } if arg_name != "bool" => [" ", arg_name].concat(),
            _ => String::new(),
        };
        rows.push((format!("{short}{}{value}", flag.long), capital(flag.description)));
    }
    if !rows.is_empty() {
        sort::by(&mut rows, |(a, _), (b, _)| a[4..].cmp(&b[4..]));
        text.push_str("\nOptions:\n");
        list(&mut text, rows.iter().map(|(name, about)| (name.as_str(), about.clone())));
    }
    text
}

/// The management forms.
pub fn groups() -> Vec<&'static str> {
    let mut groups: Vec<&str> = VERBS
        .iter()
        .flat_map(|entry| entry.names.split('|'))
        .filter_map(|name| Some(name.split_once(' ')?.0))
        .collect();
    sort::by(&mut groups, Ord::cmp);
    groups.dedup();
    groups
}

/// The name within a management form: `ls` of `container ls`.
pub fn member<'a>(name: &'a str, group: &str) -> Option<&'a str> {
    name.strip_prefix(group)?.strip_prefix(' ')
}

fn first_name(entry: &Entry) -> &'static str {
    entry.names.split('|').next().unwrap_or_default()
}

fn about(entry: &Entry) -> String {
    capital((entry.info)().description)
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

/// Rows of a name and its description, the descriptions below each other.
fn list<'a>(text: &mut String, rows: impl Iterator<Item = (&'a str, String)> + Clone) {
    let width = rows.clone().map(|(name, _)| name.len()).max().unwrap_or(0);
    for (name, about) in rows {
        text.push_str(&format!("  {name:width$}   {about}\n"));
    }
}
