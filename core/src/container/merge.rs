//! What a request asks for and what its image says -> the settings of a container. Pure.

use super::config::{Config, Healthcheck};

impl Config {
    /// Takes over from the image's settings what the request leaves open, as Docker does.
    pub fn complete(&mut self, image: &Config) {
        let or = |own: &mut alloc::string::String, other: &str| {
            if own.is_empty() {
                *own = other.into();
            }
        };
        or(&mut self.user, &image.user);
        or(&mut self.working_dir, &image.working_dir);
        or(&mut self.stop_signal, &image.stop_signal);
        for one in &image.env {
            let name = |one: &str| one.split('=').next().unwrap_or_default().len();
            let name = &one[..name(one)];
            if !self.env.iter().any(|own| own.split('=').next() == Some(name)) {
                self.env.push(one.clone());
            }
        }
        for (key, value) in &image.labels {
            self.labels.entry(key.clone()).or_insert_with(|| value.clone());
        }
        for (port, empty) in &image.exposed_ports {
            self.exposed_ports.entry(port.clone()).or_insert(*empty);
        }
        if let Some(volumes) = image.volumes.as_ref().filter(|volumes| !volumes.is_empty()) {
            let own = self.volumes.get_or_insert_default();
            for (path, empty) in volumes {
                own.entry(path.clone()).or_insert(*empty);
            }
        }
        if self.shell.is_empty() {
            self.shell.clone_from(&image.shell);
        }
        // An entrypoint of the request's own is not for the image's arguments.
        if self.entrypoint.as_ref().is_none_or(|words| words.is_empty()) {
            if self.cmd.as_ref().is_none_or(|words| words.is_empty()) {
                self.cmd.clone_from(&image.cmd);
            }
            if self.entrypoint.is_none() {
                self.entrypoint.clone_from(&image.entrypoint);
            }
        }
        match (&mut self.healthcheck, &image.healthcheck) {
            (Some(own), Some(other)) => own.complete(other),
            (own @ None, other) => own.clone_from(other),
            (Some(_), None) => {}
        }
    }
}

impl Healthcheck {
    fn complete(&mut self, image: &Healthcheck) {
        if self.test.is_empty() {
            self.test.clone_from(&image.test);
        }
        for (own, other) in [
            (&mut self.interval, image.interval),
            (&mut self.timeout, image.timeout),
            (&mut self.start_period, image.start_period),
            (&mut self.start_interval, image.start_interval),
            (&mut self.retries, image.retries),
        ] {
            if *own == 0 {
                *own = other;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use alloc::{string::String, vec::Vec};

    use super::*;

    fn words(text: &str) -> Option<Vec<String>> {
        Some(text.split_whitespace().map(Into::into).collect())
    }

    fn image() -> Config {
        Config {
            user: "app".into(),
            env: words("A=image B=image").unwrap(),
            entrypoint: words("/entry"),
            cmd: words("one two"),
            ..Config::default()
        }
    }

    #[test]
    fn what_the_request_leaves_open_is_the_images() {
        let mut config = Config { env: words("B=own").unwrap(), ..Config::default() };
        config.complete(&image());
        assert_eq!((config.user.as_str(), config.env), ("app", words("B=own A=image").unwrap()));
        assert_eq!((config.entrypoint, config.cmd), (words("/entry"), words("one two")));
    }

    #[test]
    fn an_entrypoint_drops_the_images_arguments_and_a_command_keeps_its_entrypoint() {
        let mut config = Config { entrypoint: words("/own"), ..Config::default() };
        config.complete(&image());
        assert_eq!((config.entrypoint, config.cmd), (words("/own"), None));
        let mut config = Config { cmd: words("x"), ..Config::default() };
        config.complete(&image());
        assert_eq!((config.entrypoint, config.cmd), (words("/entry"), words("x")));
        let mut config = Config { entrypoint: Some(Vec::new()), cmd: words("x"), ..Config::default() };
        config.complete(&image());
        assert_eq!((config.entrypoint, config.cmd), (Some(Vec::new()), words("x")));
    }

    #[test]
    fn a_health_check_is_completed_field_by_field() {
        let check = Healthcheck { test: words("CMD probe").unwrap(), retries: 7, ..Healthcheck::default() };
        let mut config = Config {
            healthcheck: Some(Healthcheck { interval: 5, ..Healthcheck::default() }),
            ..Config::default()
        };
        config.complete(&Config { healthcheck: Some(check.clone()), ..Config::default() });
        assert_eq!(config.healthcheck, Some(Healthcheck { interval: 5, ..check }));
    }
}
