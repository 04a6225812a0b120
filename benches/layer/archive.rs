//! Images of such layers, in a form that all engines take: an OCI layout that is a docker-archive as well.

use std::{
    fs::{self, File},
    io::{self, BufWriter, Read, Write},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use skiff_core::digest::{Digest, Hasher};

use super::content::{self, Shape};

/// An image on the disk, in all the forms that are read.
pub struct Archive {
    /// The layout's directory.
    pub layout: PathBuf,
    /// The same as a tar.
    pub tar: PathBuf,
    /// Its lowest layer, compressed.
    pub layer: PathBuf,
    pub plain_bytes: u64,
    pub packed_bytes: u64,
}

/// Hashes what it passes on.
struct Hashing<W> {
    to: W,
    hash: Hasher,
    bytes: u64,
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, part: &[u8]) -> io::Result<usize> {
        self.to.write_all(part)?;
        self.hash.update(part);
        self.bytes += part.len() as u64;
        Ok(part.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

/// A layer on its way through gzip.
struct Packing {
    gzip: Child,
    file: PathBuf,
    diff_id: Digest,
    plain_bytes: u64,
}

fn pack(shape: Shape, level: u32, file: PathBuf) -> Packing {
    let mut gzip = Command::new("gzip")
        .arg(format!("-n{level}"))
        .stdin(Stdio::piped())
        .stdout(File::create(&file).unwrap())
        .spawn()
        .expect("gzip is needed");
    let mut plain = Hashing { to: gzip.stdin.take().unwrap(), hash: Hasher::new(), bytes: 0 };
    content::write(shape, &mut BufWriter::with_capacity(1 << 20, &mut plain)).unwrap();
    Packing { diff_id: plain.hash.finish(), plain_bytes: plain.bytes, gzip, file }
}

fn digest_of(file: &Path) -> Digest {
    let (mut file, mut hash, mut part) = (File::open(file).unwrap(), Hasher::new(), vec![0; 1 << 20]);
    loop {
        match file.read(&mut part).unwrap() {
            0 => return hash.finish(),
            count => hash.update(&part[..count]),
        }
    }
}

/// Makes an image of these layers below `place`.
pub fn make(place: &Path, shapes: &[Shape], level: u32) -> Archive {
    let layout = place.join("layout");
    let blobs = layout.join("blobs/sha256");
    fs::create_dir_all(&blobs).unwrap();
    let blob = |digest: &Digest| blobs.join(digest.hex().as_str());
    let put = |text: String| {
        let digest = Digest::of(text.as_bytes());
        fs::write(blob(&digest), &text).unwrap();
        (digest, text.len())
    };
    let (mut diff_ids, mut layers, mut paths) = (Vec::new(), Vec::new(), Vec::new());
    let (mut plain_bytes, mut packed_bytes, mut first) = (0, 0, None);
    for (number, shape) in shapes.iter().enumerate() {
        let mut packing = pack(*shape, level, place.join(format!("layer-{number}")));
        assert!(packing.gzip.wait().unwrap().success());
        let digest = digest_of(&packing.file);
        fs::rename(&packing.file, blob(&digest)).unwrap();
        let size = fs::metadata(blob(&digest)).unwrap().len();
        diff_ids.push(format!("\"{}\"", packing.diff_id));
        layers.push(format!(
            r#"{{"mediaType":"application/vnd.oci.image.layer.v1.tar+gzip","digest":"{digest}","size":{size}}}"#
        ));
        paths.push(format!(r#""blobs/sha256/{}""#, digest.hex().as_str()));
        plain_bytes += packing.plain_bytes;
        packed_bytes += size;
        first.get_or_insert(blob(&digest));
    }
    let (config, config_size) = put(format!(
        r#"{{"architecture":"amd64","os":"linux","config":{{}},"rootfs":{{"type":"layers","diff_ids":[{}]}}}}"#,
        diff_ids.join(",")
    ));
    let (manifest, manifest_size) = put(format!(
        r#"{{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{{"mediaType":
"application/vnd.oci.image.config.v1+json","digest":"{config}","size":{config_size}}},"layers":[{}]}}"#,
        layers.join(",")
    ));
    let index = format!(
        r#"{{"schemaVersion":2,"manifests":[{{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":
"{manifest}","size":{manifest_size},"annotations":{{"org.opencontainers.image.ref.name":"latest"}}}}]}}"#
    );
    fs::write(layout.join("index.json"), index).unwrap();
    fs::write(layout.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
    let saved = format!(
        r#"[{{"Config":"blobs/sha256/{}","RepoTags":["bench:latest"],"Layers":[{}]}}]"#,
        config.hex().as_str(),
        paths.join(",")
    );
    fs::write(layout.join("manifest.json"), saved).unwrap();
    let tar = place.join("image.tar");
    let made = Command::new("tar").arg("-cf").arg(&tar).arg("-C").arg(&layout).arg(".").status();
    assert!(made.unwrap().success());
    Archive { layout, tar, layer: first.expect("at least one layer"), plain_bytes, packed_bytes }
}
