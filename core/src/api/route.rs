//! Which handler answers a request: method, path pattern and the API version that brought it.
//!
//! A pattern is a path whose segments are words, `{}` for any one segment, `{*}` for one or more (an image's name
//! has slashes), or `{**}` for any number. The first route that fits wins, so `images/json` stands before `images/{*}`.

use alloc::string::String;

use super::{exchange::Exchange, head::Method, target::ApiVersion};
use crate::Result;

/// One line of the route table. `E` is what handlers work on.
#[derive(Debug)]
pub struct Route<E: 'static> {
    /// The request's method, if not every one is answered so.
    pub method: Option<Method>,
    /// The path behind the version.
    pub pattern: &'static str,
    /// The first API version that has it.
    pub since: ApiVersion,
    /// Answers it.
    pub handler: fn(&mut Exchange<'_>, &E) -> Result<()>,
}

/// Answers one request by the table. What no route fits gets Docker's 404, whatever its method.
///
/// # Errors
/// The handler's.
pub fn dispatch<E>(routes: &[Route<E>], exchange: &mut Exchange<'_>, engine: &E) -> Result<()> {
    for route in routes {
        if route.method.is_none_or(|method| method == exchange.method())
            && exchange.version >= route.since
            && let Some(params) = fit(route.pattern, &exchange.segments)
        {
            exchange.params = params;
            return (route.handler)(exchange, engine);
        }
    }
    exchange.reply_message(404, "page not found")
}

/// What the pattern's braces stand for, if it fits the path.
fn fit(pattern: &str, segments: &[String]) -> Option<alloc::vec::Vec<String>> {
    let mut params = alloc::vec::Vec::new();
    let mut rest = segments;
    let words = pattern.split('/');
    let mut behind = words.clone().count();
    for word in words {
        behind -= 1;
        let taken = match word {
            // All that the words behind it don't need.
            "{*}" => rest.len().checked_sub(behind).filter(|&count| count > 0)?,
            "{**}" => rest.len().checked_sub(behind)?,
            _ => 1,
        };
        let (these, others) = rest.split_at_checked(taken)?;
        rest = others;
        match word {
            "{}" | "{*}" | "{**}" => params.push(these.join("/")),
            _ if these[0] == word => {}
            _ => return None,
        }
    }
    rest.is_empty().then_some(params)
}

#[cfg(test)]
mod tests {
    use alloc::{string::ToString, vec::Vec};

    use super::*;

    fn fits(pattern: &str, path: &str) -> Option<Vec<String>> {
        let segments: Vec<String> = path.split('/').map(ToString::to_string).collect();
        fit(pattern, &segments)
    }

    #[test]
    fn words_and_braces_fit_segments() {
        assert_eq!(fits("containers/json", "containers/json"), Some(Vec::new()));
        assert_eq!(fits("containers/{}/json", "containers/a/json"), Some(Vec::from(["a".into()])));
        assert_eq!(fits("containers/{}/{}", "containers/a/b"), Some(Vec::from(["a".into(), "b".into()])));
        assert_eq!(fits("containers/{}/json", "containers/a/b/json"), None);
        assert_eq!(fits("containers/{}", "containers"), None);
        assert_eq!(fits("containers/json", "containers/json/x"), None);
    }

    #[test]
    fn an_images_name_has_slashes() {
        let name = |pattern, path| fits(pattern, path).map(|params| params.join(" "));
        assert_eq!(
            name("images/{*}/push", "images/127.0.0.1:5000/trb/push").as_deref(),
            Some("127.0.0.1:5000/trb")
        );
        assert_eq!(name("images/{*}/json", "images/a/json").as_deref(), Some("a"));
        assert_eq!(name("images/{*}/json", "images/json"), None);
        assert_eq!(name("images/{*}/json", "images/json/json").as_deref(), Some("json"));
        assert_eq!(name("images/{*}", "images/a/b/c").as_deref(), Some("a/b/c"));
        assert_eq!(name("images/{*}", "images"), None);
        assert_eq!(name("swarm/{**}", "swarm").as_deref(), Some(""));
        assert_eq!(name("swarm/{**}", "swarm/a/b").as_deref(), Some("a/b"));
        assert_eq!(name("swarm/{**}", "swarms"), None);
    }
}
