//! Writes the seeds to `fuzz/corpus`, where the fuzzer begins: `cargo run --bin seeds` in `fuzz/`.

mod seeds;

fn main() -> std::io::Result<()> {
    for target in seeds::TARGETS {
        let directory = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target);
        std::fs::create_dir_all(&directory)?;
        for (number, seed) in seeds::of(target).iter().enumerate() {
            std::fs::write(directory.join(format!("seed-{number}")), seed)?;
        }
    }
    Ok(())
}
