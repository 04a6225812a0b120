//! Archives of images, made by hand, so that each of their bytes can be wrong.

// Each test file uses its part of this.
#![allow(dead_code)]

use std::io::Write;
use std::process::{Command, Stdio};

use skiff_core::{digest::Digest, image::config::ARCHITECTURE};

/// A tar in the making.
#[derive(Clone, Default)]
pub struct Tar(Vec<u8>);

impl Tar {
    /// The header of an entry.
    pub fn header(kind: u8, name: &str, link: &str, size: u64) -> Vec<u8> {
        let mut block = vec![0; 512];
        block[..name.len()].copy_from_slice(name.as_bytes());
        block[100..107].copy_from_slice(b"0000644");
        block[124..135].copy_from_slice(format!("{size:011o}").as_bytes());
        block[136..147].copy_from_slice(b"14000000000");
        block[156] = kind;
        block[157..157 + link.len()].copy_from_slice(link.as_bytes());
        block[257..265].copy_from_slice(b"ustar\x0000");
        block[148..156].fill(b' ');
        let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
        block[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
        block
    }

    /// Puts an entry at the end.
    pub fn entry(mut self, kind: u8, name: &str, link: &str, content: &[u8]) -> Tar {
        self.0.extend(Tar::header(kind, name, link, content.len() as u64));
        self.0.extend(content);
        self.0.resize(self.0.len().next_multiple_of(512), 0);
        self
    }

    /// Puts a file at the end.
    pub fn file(self, name: &str, content: impl AsRef<[u8]>) -> Tar {
        self.entry(b'0', name, "", content.as_ref())
    }

    /// What there is, without an end.
    pub fn part(self) -> Vec<u8> {
        self.0
    }

    /// All of it.
    pub fn end(mut self) -> Vec<u8> {
        self.0.extend([0; 1024]);
        self.0
    }
}

/// A layer with one file.
pub fn layer(name: &str, content: &str) -> Vec<u8> {
    Tar::default().file(name, content).end()
}

/// What a compressor makes of it.
pub fn compressed(program: &str, plain: &[u8]) -> Vec<u8> {
    let mut child =
        Command::new(program).arg("-c").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    std::thread::scope(|scope| {
        scope.spawn(move || stdin.write_all(plain).unwrap());
        child.wait_with_output().unwrap().stdout
    })
}

/// A config with these layers.
pub fn config(layers: &[Digest]) -> String {
    let layers: Vec<String> = layers.iter().map(|layer| format!("\"{layer}\"")).collect();
    format!(
        "{{\"architecture\":\"{ARCHITECTURE}\",\"os\":\"linux\",\"config\":{{\"Cmd\":[\"x\"]}},\"unknown\": 1,\
         \"rootfs\":{{\"type\":\"layers\",\"diff_ids\":[{}]}}}}",
        layers.join(",")
    )
}

/// An OCI layout in the making: its blobs.
#[derive(Clone, Default)]
pub struct Layout(Vec<(String, Vec<u8>)>);

impl Layout {
    /// Adds a blob and gives what describes it, without the last brace.
    pub fn blob(&mut self, content: &[u8]) -> String {
        let digest = Digest::of(content);
        let path = format!("blobs/sha256/{}", digest.hex().as_str());
        if self.0.iter().all(|(known, _)| *known != path) {
            self.0.push((path, content.to_vec()));
        }
        format!("{{\"mediaType\":\"x\",\"digest\":\"{digest}\",\"size\":{}", content.len())
    }

    /// An image of these layers, as they come and as they are plain; gives what describes its manifest.
    pub fn image(&mut self, layers: &[(&[u8], &[u8])]) -> String {
        let ids: Vec<Digest> = layers.iter().map(|(_, plain)| Digest::of(plain)).collect();
        let config = self.blob(config(&ids).as_bytes()) + "}";
        let layers: Vec<String> = layers.iter().map(|(packed, _)| self.blob(packed) + "}").collect();
        self.blob(manifest(&config, &layers).as_bytes())
    }

    /// The archive with these manifests in its index.
    pub fn end(self, manifests: &[String]) -> Vec<u8> {
        self.files(manifests)
            .into_iter()
            .fold(Tar::default(), |tar, (name, content)| tar.file(&name, content))
            .end()
    }

    /// All its files.
    pub fn files(self, manifests: &[String]) -> Vec<(String, Vec<u8>)> {
        let mut files = self.0;
        files.push(("index.json".into(), index(manifests).into_bytes()));
        files.push(("oci-layout".into(), br#"{"imageLayoutVersion":"1.0.0"}"#.to_vec()));
        files
    }
}

/// A manifest's text.
pub fn manifest(config: &str, layers: &[String]) -> String {
    format!("{{\"schemaVersion\":2,\"config\":{config},\"layers\":[{}]}}", layers.join(","))
}

/// An index's text.
pub fn index(manifests: &[String]) -> String {
    format!("{{\"schemaVersion\":2,\"manifests\":[{}]}}", manifests.join(","))
}

/// `"annotations"` with a name, and the last brace.
pub fn named(descriptor: &str, name: &str) -> String {
    format!("{descriptor},\"annotations\":{{\"org.opencontainers.image.ref.name\":\"{name}\"}}}}")
}

/// A docker-archive's manifest with one image.
pub fn docker(config: &str, names: &str, layers: &str) -> String {
    format!("[{{\"Config\":\"{config}\",\"RepoTags\":{names},\"Layers\":{layers}}}]")
}
