//! Small inputs that between them go everywhere in the readers. The first byte of a tar and of a gzip says how it is cut.

/// Of a target: its seeds.
pub fn of(target: &str) -> Vec<Vec<u8>> {
    match target {
        "tar" => tars(),
        "gzip" => gzips(),
        "reference" => texts(&REFERENCES),
        "image_config" => texts(&CONFIGS),
        "manifest" => texts(&MANIFESTS),
        "zstd" => zstds(),
        _ => Vec::new(),
    }
}

/// All targets.
pub const TARGETS: [&str; 6] = ["tar", "gzip", "reference", "image_config", "manifest", "zstd"];

const REFERENCES: [&str; 10] = [
    "busybox",
    "busybox:1.36",
    "library/busybox",
    "localhost:5000/a/b:tag",
    "[::1]:1/a",
    "A.b/c__d.e-f---g:T.1_-",
    "x@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "index.docker.io/x:1@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "../x",
    "docker.io/library/a/b",
];

const CONFIGS: [&str; 3] = [
    r#"{"architecture":"amd64","os":"linux","config":{"Env":["A=1"],"Cmd":"sh","Entrypoint":null,"Labels":{"a":"b"},
        "ExposedPorts":{"80/tcp":{}},"Volumes":{"/v":{}},"Healthcheck":{"Test":["NONE"],"Interval":1}},
        "rootfs":{"type":"layers","diff_ids":["sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"]},
        "history":[{"created":"2024-01-01T00:00:00Z","created_by":"x","empty_layer":true}],"variant":null}"#,
    r#"{"rootfs":{"type":"layers"}}"#,
    r#"{"a":[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[]"#,
];

const MANIFESTS: [&str; 5] = [
    r#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[
        {"mediaType":"application/vnd.oci.image.manifest.v1+json","size":3,
        "digest":"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "platform":{"architecture":"amd64","os":"linux"},
        "annotations":{"io.containerd.image.name":"docker.io/library/a:1","org.opencontainers.image.ref.name":"1"}},
        {"size":9,"digest":"sha256:01ba4719c80b6fe911b091a7c05124b64eeece964e09c058ef8f9805daca546b",
        "platform":{"architecture":"unknown","os":"unknown"},"annotations":{"vnd.docker.reference.type":"x"}}]}"#,
    r#"{"schemaVersion":2,"config":{"size":3,
        "digest":"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
        "layers":[{"size":5,"digest":"sha256:01ba4719c80b6fe911b091a7c05124b64eeece964e09c058ef8f9805daca546b"}]}"#,
    r#"[{"Config":"c.json","RepoTags":["a:1",null],"Layers":["x/layer.tar"]}]"#,
    r#"{"a/b":{"latest":"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"}}"#,
    r#"{"imageLayoutVersion":"1.0.0"}"#,
];

fn texts(texts: &[&str]) -> Vec<Vec<u8>> {
    texts.iter().map(|text| text.as_bytes().to_vec()).collect()
}

/// A header with its content, padded.
fn entry(kind: u8, name: &[u8], link: &[u8], content: &[u8]) -> Vec<u8> {
    let mut block = vec![0; 512];
    block[..name.len()].copy_from_slice(name);
    block[100..107].copy_from_slice(b"0000644");
    block[124..135].copy_from_slice(format!("{:011o}", content.len()).as_bytes());
    block[136..147].copy_from_slice(b"14000000000");
    block[156] = kind;
    block[157..157 + link.len()].copy_from_slice(link);
    block[257..265].copy_from_slice(b"ustar\x0000");
    sign(&mut block);
    block.extend_from_slice(content);
    block.resize(block.len().next_multiple_of(512), 0);
    block
}

fn sign(block: &mut [u8]) {
    block[148..156].fill(b' ');
    let sum: u32 = block[..512].iter().map(|byte| u32::from(*byte)).sum();
    block[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
}

fn tars() -> Vec<Vec<u8>> {
    let pax = b"30 mtime=1350244992.023960108\n24 SCHILY.xattr.user.a=\0\n9 size=3\n12 path=p/q\n";
    let mut binary = entry(b'0', b"binary", b"", b"");
    binary[108..116].copy_from_slice(&[0x80, 0, 0, 0, 0, 0, 1, 0]);
    binary[136..148].fill(0xff);
    sign(&mut binary);
    let end = vec![0; 1024];
    let parts = [
        vec![
            entry(b'5', b"d/", b"", b""),
            entry(b'0', b"d/f", b"", b"some content"),
            entry(b'0', b"e", b"", b""),
        ],
        vec![entry(b'x', b"x", b"", pax), entry(b'0', b"f", b"", b"abc"), entry(b'1', b"h", b"p/q", b"")],
        vec![
            entry(b'L', b"l", b"", b"long name\0"),
            entry(b'K', b"k", b"", b"long link\0"),
            entry(b'2', b"s", b"t", b""),
        ],
        vec![
            entry(b'g', b"g", b"", b"11 path=gg\n"),
            entry(b'3', b"c", b"", b""),
            entry(b'6', b"p", b"", b""),
        ],
        vec![binary, entry(0, b"old/", b"", b""), entry(b'S', b"sparse", b"", b"")],
        vec![entry(b'0', b"big", b"", &[7; 2000])],
    ];
    let mut all = vec![vec![0; 513]];
    for (number, part) in parts.into_iter().enumerate() {
        all.push([vec![number as u8 * 41], part.concat(), end.clone()].concat());
    }
    all
}

/// Members whose data is stored, not deflated, which is easy to write by hand; and one that is deflated.
fn gzips() -> Vec<Vec<u8>> {
    let header = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];
    let stored = |plain: &[u8], crc: u32| {
        let length = plain.len() as u16;
        let mut member = header.to_vec();
        member.push(1);
        member.extend(length.to_le_bytes());
        member.extend((!length).to_le_bytes());
        member.extend(plain);
        member.extend(crc.to_le_bytes());
        member.extend(u32::from(length).to_le_bytes());
        member
    };
    let (a, empty) = (stored(b"a", 0xe8b7_be43), stored(b"", 0));
    // The shortest deflate stream: a block with fixed codes and nothing in it.
    let fixed = [&header[..], &[3, 0], &[0; 8]].concat();
    [
        vec![a.clone()],
        vec![a.clone(), empty, a.clone()],
        vec![a.clone(), vec![0; 40]],
        vec![a, vec![9]],
        vec![fixed],
    ]
    .into_iter()
    .enumerate()
    .map(|(number, members)| [vec![number as u8 * 61], members.concat()].concat())
    .collect()
}

/// Frames with stored, repeated and compressed blocks, with and without a checksum, and skippable ones.
fn zstds() -> Vec<Vec<u8>> {
    let hello = b"\x28\xb5\x2f\xfd\x24\x05\x29\0\0hello\xa3\x6d\x9f\x88".to_vec();
    let repeated = b"\x28\xb5\x2f\xfd\0\x40\x43\x1f\0x".to_vec();
    let compressed = b"\x28\xb5\x2f\xfd\x04\x68\x75\0\0\x30\x73\x6b\x69\x66\x66\x20\x01\0\x67\x97\xbe\x14\x01\x96\xce\xdb\x8b";
    let skipped = b"\x50\x2a\x4d\x18\x03\0\0\0abc".to_vec();
    let all = [
        vec![hello.clone()],
        vec![repeated.clone()],
        vec![compressed.to_vec()],
        vec![skipped.clone(), compressed.to_vec(), skipped, hello, repeated],
    ];
    all.into_iter().enumerate().map(|(n, frames)| [vec![n as u8 * 71], frames.concat()].concat()).collect()
}
