//! What the host is: kernel, machine, processors, memory, name of the system. For `version` and `info`.

use alloc::string::{String, ToString};

use skiff_syscalls::processor;

use crate::file::{self, CWD};

/// The host, as the kernel and /etc/os-release describe it.
#[derive(Debug, Clone, Default)]
pub struct Host {
    /// `6.1.0-13-amd64`
    pub kernel: String,
    /// `x86_64`, as the kernel names it.
    pub machine: String,
    /// The host's name.
    pub hostname: String,
    /// The distribution's name.
    pub system: String,
    /// Its version.
    pub system_version: String,
    /// Processors that this program may use.
    pub processors: usize,
    /// Memory in bytes.
    pub memory_bytes: u64,
}

impl Host {
    /// Looks.
    pub fn look() -> Host {
        let name = rustix::system::uname();
        let info = rustix::system::sysinfo();
        let release = file::read(CWD, "/etc/os-release", 64 << 10)
            .or_else(|_| file::read(CWD, "/usr/lib/os-release", 64 << 10))
            .unwrap_or_default();
        let release = String::from_utf8_lossy(&release);
        let text = |bytes: &core::ffi::CStr| bytes.to_string_lossy().to_string();
        Host {
            kernel: text(name.release()),
            machine: text(name.machine()),
            hostname: text(name.nodename()),
            system: os_release(&release, "PRETTY_NAME").unwrap_or("Linux").to_string(),
            system_version: os_release(&release, "VERSION_ID").unwrap_or("").to_string(),
            processors: processor::count().unwrap_or(1),
            memory_bytes: (info.totalram as u64).saturating_mul(u64::from(info.mem_unit)),
        }
    }

    /// The machine as image configs name it.
    pub fn architecture(&self) -> &str {
        match self.machine.as_str() {
            "x86_64" => "amd64",
            "aarch64" => "arm64",
            "i386" | "i686" => "386",
            other if other.starts_with("arm") => "arm",
            other => other,
        }
    }
}

fn os_release<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    text.lines()
        .find_map(|line| line.strip_prefix(key)?.strip_prefix('='))
        .map(|value| value.trim().trim_matches(['"', '\'']))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_distributions_name_is_read_with_and_without_quotes() {
        let text = "ID=x\nPRETTY_NAME=\"Debian GNU/Linux 12\"\nVERSION_ID='12'\n";
        assert_eq!(os_release(text, "PRETTY_NAME"), Some("Debian GNU/Linux 12"));
        assert_eq!(os_release(text, "VERSION_ID"), Some("12"));
        assert_eq!(os_release(text, "NAME"), None);
    }

    #[test]
    fn this_host_has_a_kernel_processors_and_memory() {
        let host = Host::look();
        assert!(!host.kernel.is_empty() && host.processors > 0 && host.memory_bytes > 1 << 20);
    }
}
