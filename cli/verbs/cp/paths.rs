//! Docker's rules for `cp`: what a trailing `/` or `/.` means, and where a source goes that meets a destination. Pure.

use alloc::{borrow::ToOwned, string::String, vec::Vec};

/// `container:path`, or a path of this machine. What begins with a slash or a dot is one of this machine.
pub fn split_argument(argument: &str) -> (Option<&str>, &str) {
    match argument.split_once(':') {
        Some((container, path)) if !container.starts_with(['/', '.']) => (Some(container), path),
        _ => (None, argument),
    }
}

/// Without empty components, `.`, and `..` as far as it has something to take away.
pub fn clean(path: &str) -> String {
    let absolute = path.starts_with('/');
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => drop(parts.pop()),
            ".." if absolute => {}
            part => parts.push(part),
        }
    }
    match (absolute, parts.is_empty()) {
        (true, _) => format!("/{}", parts.join("/")),
        (false, true) => ".".into(),
        (false, false) => parts.join("/"),
    }
}

/// Whether it ends in `/`.
pub fn has_slash(path: &str) -> bool {
    path.ends_with('/')
}

/// Whether its last component is `.`: the content of a directory is meant.
pub fn has_dot(path: &str) -> bool {
    base(path) == "."
}

/// Whether it can only be a directory.
pub fn is_directory_by_name(path: &str) -> bool {
    has_slash(path) || has_dot(path)
}

/// The last component.
pub fn base(path: &str) -> &str {
    if path.is_empty() {
        return ".";
    }
    let trimmed = path.trim_end_matches('/');
    match trimmed.rsplit('/').next() {
        None | Some("") => "/",
        Some(last) => last,
    }
}

/// The cleaned path with the ending of the one that was given.
pub fn with_ending_of(cleaned: &str, given: &str) -> String {
    let mut path = cleaned.to_owned();
    if !has_dot(cleaned) && has_dot(given) {
        if !has_slash(&path) {
            path.push('/');
        }
        path.push('.');
    }
    if !has_slash(&path) && has_slash(given) {
        path.push('/');
    }
    path
}

/// The directory and what is meant in it, which is `.` if its content is.
pub fn split_entry(path: &str) -> (String, String) {
    let mut cleaned = clean(path);
    if has_dot(path) {
        cleaned.push_str("/.");
    }
    let (directory, name) = cleaned.rsplit_once('/').unwrap_or((".", &cleaned));
    let directory = if directory.is_empty() { "/".to_owned() } else { clean(directory) };
    match name {
        "" => (directory, "/".into()),
        name => (directory, name.into()),
    }
}

/// A link's target as a path: relative ones start at the directory that the link is in.
pub fn join_link(link: &str, target: &str) -> String {
    if target.starts_with('/') { target.into() } else { clean(&format!("{}/{target}", split_entry(link).0)) }
}

/// What was asked for by a link stays called as it was asked for: the path to use, and the name if it differs.
pub fn followed(asked: &str, resolved: &str) -> (String, Option<String>) {
    let resolved = with_ending_of(resolved, asked);
    let name = (base(asked) != base(&resolved)).then(|| base(asked).to_owned());
    (resolved, name)
}

/// Where a copy goes.
pub struct Destination {
    /// As it was asked for.
    pub path: String,
    /// Whether it is a directory; `None` if there is nothing.
    pub is_directory: Option<bool>,
}

/// The directory to extract in, and the name that the source's first component gets there, if it is another.
pub fn plan(to: &Destination, source_is_directory: bool) -> Result<(String, Option<String>), &'static str> {
    match to.is_directory {
        Some(true) => return Ok((to.path.clone(), None)),
        Some(false) if source_is_directory => return Err("cannot copy directory"),
        None if !source_is_directory && is_directory_by_name(&to.path) => return Err("no such directory"),
        _ => {}
    }
    // A directory that isn't there is called without the dot.
    let path = if has_dot(&to.path) { clean(&to.path) } else { to.path.clone() };
    let (directory, name) = split_entry(&path);
    Ok((directory, Some(name)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_colon_tells_a_container_unless_the_path_is_clearly_of_this_machine() {
        assert_eq!(split_argument("c:/x"), (Some("c"), "/x"));
        assert_eq!(split_argument("c:"), (Some("c"), ""));
        assert_eq!(split_argument(":x"), (Some(""), "x"));
        for local in ["./c:x", "/c:x", "../c:x", "x", "-", ""] {
            assert_eq!(split_argument(local), (None, local));
        }
    }

    #[test]
    fn paths_are_taken_apart_as_docker_does() {
        for (path, cleaned, entry) in [
            ("/a/b", "/a/b", ("/a", "b")),
            ("/a/b/", "/a/b", ("/a", "b")),
            ("/a/b/.", "/a/b", ("/a/b", ".")),
            ("/", "/", ("/", "/")),
            ("/..", "/", ("/", "/")),
            ("a", "a", (".", "a")),
            (".", ".", (".", ".")),
            ("", ".", (".", ".")),
            ("a/../../b", "../b", ("..", "b")),
            ("/a", "/a", ("/", "a")),
        ] {
            assert_eq!(clean(path), cleaned, "{path}");
            assert_eq!(split_entry(path), (entry.0.into(), entry.1.into()), "{path}");
        }
        assert_eq!(with_ending_of("/a", "b/."), "/a/.");
        assert_eq!(with_ending_of("/a", "b/"), "/a/");
        assert_eq!(with_ending_of("/", "/."), "/.");
        assert_eq!(join_link("/a/l", "t"), "/a/t");
        assert_eq!(join_link("/a/l", "/t"), "/t");
    }

    #[test]
    fn what_a_link_leads_to_is_called_as_the_link() {
        assert_eq!(followed("/srv/l", "/srv/d"), ("/srv/d".into(), Some("l".into())));
        assert_eq!(followed("/srv/l/", "/srv/d"), ("/srv/d/".into(), Some("l".into())));
        assert_eq!(followed("/srv/l/.", "/srv/d"), ("/srv/d/.".into(), None));
        assert_eq!(followed("/srv/l", "/x/l"), ("/x/l".into(), None));
    }

    #[test]
    fn a_source_that_meets_a_destination_goes_where_docker_puts_it() {
        let goes = |path: &str, is_directory, source_is_directory| {
            plan(&Destination { path: path.into(), is_directory }, source_is_directory)
        };
        let to = |directory: &str, name: &str| Ok((directory.to_owned(), Some(name.to_owned())));
        assert_eq!(goes("/d", Some(true), true), Ok(("/d".into(), None)));
        assert_eq!(goes("/d/f", Some(false), false), to("/d", "f"));
        assert_eq!(goes("/d/f", Some(false), true), Err("cannot copy directory"));
        assert_eq!(goes("/d/new", None, true), to("/d", "new"));
        assert_eq!(goes("/d/new/", None, true), to("/d", "new"));
        assert_eq!(goes("/d/new/.", None, true), to("/d", "new"));
        assert_eq!(goes("/d/new", None, false), to("/d", "new"));
        assert_eq!(goes("/d/new/", None, false), Err("no such directory"));
        assert_eq!(goes("", None, false), Err("no such directory"));
    }
}
