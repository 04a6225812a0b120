//! Flags with a small language of their own -> the API's forms: restart policies, health checks, resource limits of
//! processes, security options, lines of /etc/hosts.

use alloc::{
    string::{String, ToString},
    vec::Vec,
};

use skiff_core::{
    clock::duration,
    container::config::{Healthcheck, HostConfig, RestartPolicy, Ulimit},
};

use super::{flags::Flags, flags::invalid, units};
use crate::{failure::Failure, files};

/// `name[:count]`.
pub fn restart(text: &str) -> Result<RestartPolicy, String> {
    let (name, count) = text.split_once(':').unwrap_or((text, "0"));
    let wrong = |_| "invalid restart policy format: maximum retry count must be an integer";
    let maximum_retry_count = units::integer(count).map_err(wrong)?;
    if name.is_empty() && text.contains(':') {
        return Err("invalid restart policy format: no policy provided before colon".into());
    }
    Ok(RestartPolicy { name: name.into(), maximum_retry_count })
}

/// `--health-*` and `--no-healthcheck`; `None` if there are none.
pub fn health(flags: &Flags) -> Result<Option<Healthcheck>, String> {
    let not_negative = |long: &'static str, read| match flags.number(long, read)? {
        negative if negative < 0 => Err(format!("{long} cannot be negative")),
        value => Ok(value),
    };
    let nanos = |text: &str| duration::parse(text).map_err(|error| error.to_string());
    let mut check = Healthcheck {
        test: Vec::new(),
        interval: not_negative("--health-interval", nanos)?,
        timeout: not_negative("--health-timeout", nanos)?,
        start_period: not_negative("--health-start-period", nanos)?,
        start_interval: not_negative("--health-start-interval", nanos)?,
        retries: not_negative("--health-retries", units::integer)?,
    };
    if let Some(command) = flags.one("--health-cmd").filter(|command| !command.is_empty()) {
        check.test = vec!["CMD-SHELL".into(), command.into()];
    }
    let given = check != Healthcheck::default();
    if flags.on("--no-healthcheck") {
        if given {
            return Err("--no-healthcheck conflicts with --health-* options".into());
        }
        check.test = vec!["NONE".into()];
        return Ok(Some(check));
    }
    Ok(given.then_some(check))
}

/// `name=soft[:hard]`, each a number or -1.
pub fn ulimit(text: &str) -> Result<Ulimit, String> {
    let Some((name, limits)) = text.split_once('=') else {
        return Err(format!("invalid ulimit argument: {text}"));
    };
    let (soft, hard) = limits.split_once(':').unwrap_or((limits, limits));
    if hard.contains(':') {
        return Err(format!(
            "too many limit value arguments - {limits}, can only have up to two, `soft[:hard]`"
        ));
    }
    let (soft, hard) = (units::integer(soft)?, units::integer(hard)?);
    if hard != -1 && (soft > hard || soft == -1) {
        return Err(format!("ulimit soft limit must be less than or equal to hard limit: {soft} > {hard}"));
    }
    Ok(Ulimit { name: name.into(), soft, hard })
}

/// One `--security-opt`: a seccomp file is read here, and its content goes to the engine.
pub fn security(text: &str, host: &mut HostConfig) -> Result<(), String> {
    if text == "no-new-privileges" {
        host.security_opt.push(text.into());
        return Ok(());
    }
    let Some((key, value)) = text.split_once('=').or_else(|| text.split_once(':')) else {
        return Err(format!("invalid --security-opt: \"{text}\""));
    };
    match (key, value) {
        ("systempaths", "unconfined") => {
            host.masked_paths = Some(Vec::new());
            host.readonly_paths = Some(Vec::new());
        }
        ("seccomp", file) if !matches!(file, "unconfined" | "builtin") => {
            let profile = files::read(file)
                .map_err(|errno| Failure::io("open seccomp profile", file, errno).message)?;
            let profile = String::from_utf8(profile)
                .map_err(|_| format!("open seccomp profile {file}: stream did not contain valid utf-8"))?;
            skiff_core::json::from_slice::<serde_json::Value>(profile.as_bytes())
                .map_err(|error| format!("seccomp profile {file}: {error}"))?;
            host.security_opt.push(format!("seccomp={profile}"));
        }
        _ => host.security_opt.push(text.into()),
    }
    Ok(())
}

/// `name:ip` or `name=ip` -> `name:ip`; the address may be in brackets.
pub fn extra_host(text: &str) -> Result<String, String> {
    let parts = text.split_once('=').or_else(|| text.split_once(':'));
    let Some((name, address)) = parts.filter(|(name, _)| !name.is_empty()) else {
        return Err(format!("bad format for add-host: \"{text}\""));
    };
    let bare = address.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(address);
    if bare != "host-gateway" && bare.parse::<core::net::IpAddr>().is_err() {
        return Err(format!("invalid IP address in add-host: \"{address}\""));
    }
    Ok(format!("{name}:{bare}"))
}

/// `container[:alias]`
pub fn link(text: &str) -> Result<String, String> {
    let mut parts = text.split(':');
    match (parts.next(), parts.next(), parts.next()) {
        (Some(name), None, None) if !name.is_empty() => Ok(format!("{name}:{name}")),
        (Some(name), Some(alias), None) if !name.is_empty() && !alias.is_empty() => Ok(text.into()),
        _ => Err(format!("bad format for links: {text}")),
    }
}

/// The address of a name server.
pub fn name_server(text: &str) -> Result<String, String> {
    match text.parse::<core::net::IpAddr>() {
        Ok(_) => Ok(text.into()),
        Err(_) => Err(format!("IP address is not correctly formatted: {text}")),
    }
}

/// A domain, or `.` for none.
pub fn search_domain(text: &str) -> Result<String, String> {
    let part = |part: &str| {
        !part.is_empty()
            && !part.starts_with('-')
            && !part.ends_with('-')
            && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    let domain = text.trim();
    if domain == "." || domain.strip_suffix('.').unwrap_or(domain).split('.').all(part) {
        return Ok(domain.into());
    }
    Err(format!("{domain} is not a valid domain"))
}

/// `stdin`, `stdout` or `stderr` in any case.
pub fn stream(text: &str) -> Result<String, String> {
    let lower = text.to_ascii_lowercase();
    match lower.as_str() {
        "stdin" | "stdout" | "stderr" => Ok(lower),
        _ => Err("valid streams are STDIN, STDOUT and STDERR".into()),
    }
}

/// Every value of a flag, read; the error names flag and value.
pub fn each<T>(
    flags: &Flags,
    long: &'static str,
    read: fn(&str) -> Result<T, String>,
) -> Result<Vec<T>, String> {
    flags.all(long).map(|text| read(text).map_err(|reason| invalid(long, text, &reason))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flags(words: &[&str]) -> Flags {
        Flags::collect(words).unwrap().0
    }

    #[test]
    fn a_restart_policy_is_a_name_and_a_count() {
        assert_eq!(restart("on-failure:3").unwrap().maximum_retry_count, 3);
        assert_eq!(restart("always").unwrap().name, "always");
        for bad in ["on-failure:x", "on-failure:1:2", "no:"] {
            assert!(restart(bad).unwrap_err().ends_with("must be an integer"), "{bad}");
        }
        assert!(restart(":3").is_err());
    }

    #[test]
    fn health_flags_make_a_check() {
        assert_eq!(health(&flags(&[])), Ok(None));
        let words = ["--health-cmd", "true x", "--health-interval", "1m30s", "--health-retries", "3"];
        let check = health(&flags(&words)).unwrap().unwrap();
        assert_eq!(check.test, ["CMD-SHELL", "true x"]);
        assert_eq!((check.interval, check.retries, check.timeout), (90_000_000_000, 3, 0));
        assert_eq!(health(&flags(&["--no-healthcheck"])).unwrap().unwrap().test, ["NONE"]);
        let both = health(&flags(&["--no-healthcheck", "--health-retries", "1"]));
        assert_eq!(both, Err("--no-healthcheck conflicts with --health-* options".into()));
        let negative = health(&flags(&["--health-interval", "-5s"]));
        assert_eq!(negative, Err("--health-interval cannot be negative".into()));
        let bare = health(&flags(&["--health-interval", "5"])).unwrap_err();
        assert!(bare.starts_with("invalid argument \"5\" for --health-interval: "), "{bare}");
    }

    #[test]
    fn a_ulimit_has_a_soft_and_a_hard_limit() {
        let rows = [
            ("nofile=10:20", Ok((10, 20))),
            ("nofile=10", Ok((10, 10))),
            ("memlock=-1", Ok((-1, -1))),
            ("memlock=1:-1", Ok((1, -1))),
            ("nofile=20:10", Err("ulimit soft limit must be less than or equal to hard limit: 20 > 10")),
            ("nofile", Err("invalid ulimit argument: nofile")),
            ("nofile=a", Err("'a' is not a whole number")),
            (
                "nofile=1:2:3",
                Err("too many limit value arguments - 1:2:3, can only have up to two, `soft[:hard]`"),
            ),
        ];
        for (text, expected) in rows {
            assert_eq!(ulimit(text).map(|u| (u.soft, u.hard)), expected.map_err(String::from), "{text}");
        }
    }

    #[test]
    fn security_options_are_sorted_out() {
        let mut host = HostConfig::default();
        for text in ["no-new-privileges", "seccomp=unconfined", "systempaths=unconfined", "label=disable"] {
            security(text, &mut host).unwrap();
        }
        assert_eq!(host.security_opt, ["no-new-privileges", "seccomp=unconfined", "label=disable"]);
        assert_eq!((host.masked_paths.clone(), host.readonly_paths.clone()), (Some(vec![]), Some(vec![])));
        assert_eq!(security("bogus", &mut host), Err("invalid --security-opt: \"bogus\"".into()));
        let missing = security("seccomp=/nonexistent/x", &mut host).unwrap_err();
        assert_eq!(missing, "open seccomp profile /nonexistent/x: no such file or directory");
    }

    #[test]
    fn a_seccomp_file_is_read_and_must_be_json() {
        let directory = std::env::temp_dir().join(format!("skiff-seccomp-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let file = directory.join("profile").display().to_string();
        let mut host = HostConfig::default();
        std::fs::write(&file, "{\"defaultAction\": \"SCMP_ACT_ALLOW\"}").unwrap();
        security(&format!("seccomp={file}"), &mut host).unwrap();
        assert_eq!(host.security_opt, ["seccomp={\"defaultAction\": \"SCMP_ACT_ALLOW\"}"]);
        std::fs::write(&file, "{nope").unwrap();
        let error = security(&format!("seccomp={file}"), &mut host).unwrap_err();
        assert!(error.starts_with(&format!("seccomp profile {file}: ")), "{error}");
        std::fs::remove_dir_all(&directory).unwrap();
    }

    #[test]
    fn hosts_servers_and_domains_are_checked() {
        for (text, expected) in [
            ("a:1.2.3.4", "a:1.2.3.4"),
            ("a=1.2.3.4", "a:1.2.3.4"),
            ("a:::1", "a:::1"),
            ("a=[::1]", "a:::1"),
            ("a:host-gateway", "a:host-gateway"),
        ] {
            assert_eq!(extra_host(text).as_deref(), Ok(expected));
        }
        assert_eq!(extra_host("a:bogus"), Err("invalid IP address in add-host: \"bogus\"".into()));
        assert_eq!(extra_host("a"), Err("bad format for add-host: \"a\"".into()));
        assert_eq!(extra_host(":1.2.3.4"), Err("bad format for add-host: \":1.2.3.4\"".into()));
        assert_eq!(name_server("x"), Err("IP address is not correctly formatted: x".into()));
        for good in ["x.y", ".", "a-b.c."] {
            assert_eq!(search_domain(good).as_deref(), Ok(good));
        }
        for bad in ["bad_#", "", "a..b", "-a", "a\nb"] {
            assert!(search_domain(bad).is_err(), "{bad:?}");
        }
        assert_eq!(stream("STDIN").as_deref(), Ok("stdin"));
        assert!(stream("bogus").is_err());
    }
}
