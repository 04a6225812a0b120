//! Layers of an archive -> trees, as many at a time as there are processors, each in a process of its own.
//!
//! ```text
//! this process  <── how far, and the result ──  child: read | inflate | hash  ──>  its child: write
//! ```

use alloc::{format, string::ToString, vec, vec::Vec};

use rustix::fd::AsFd;

use super::Told;
use crate::{
    Error, Result,
    crew::{self, Heard, Reporter},
    digest::{BlobDigest, Hasher},
    image::{archive::Part, contents::PackedLayer},
    layer::unpack::{Unpacked, unpack},
    store::{Scratch, Writeback},
};

/// After so many bytes more the parent hears of them.
const STEP_BYTES: u64 = 512 << 10;

/// A layer that is to be unpacked, and where.
pub(super) struct Job<'a> {
    pub(super) layer: &'a PackedLayer,
    pub(super) part: Part,
    pub(super) scratch: Scratch,
}

/// Unpacks all of them. After an error no process is left, and no tree.
pub(super) fn unpack_all(
    jobs: Vec<Job<'_>>,
    mut writeback: Writeback,
    tell: &mut dyn FnMut(Told<'_>) -> Result<()>,
) -> Result<Vec<(Scratch, Unpacked)>> {
    let keep: Vec<_> =
        jobs.iter().flat_map(|job| [job.part.file.as_fd(), job.scratch.directory().as_fd()]).collect();
    let work = |number: usize, report: &mut Reporter<'_>| match work(&jobs[number], report) {
        Ok(unpacked) => serde_json::to_vec(&unpacked).expect("plain values"),
        Err(error) => error.to_bytes(),
    };
    let mut results: Vec<Option<Unpacked>> = jobs.iter().map(|_| None).collect();
    let mut read = vec![0_u64; jobs.len()];
    crew::side_by_side(jobs.len(), &keep, &work, &mut |heard| match heard {
        Heard::Nothing => tell(Told::Nothing),
        Heard::Far(number, current) => {
            writeback.came(current.saturating_sub(read[number]));
            read[number] = current;
            let Job { layer, part, .. } = &jobs[number];
            if current == part.size {
                writeback.ended();
            }
            let name = layer.layer.map_or_else(|| layer.path.clone(), |layer| layer.to_string());
            tell(Told::Layer { layer: &name, current, total: part.size })
        }
        Heard::Done(number, answer) => {
            results[number] = Some(taken(jobs[number].layer, answer)?);
            Ok(())
        }
    })?;
    let done = jobs.into_iter().zip(results);
    done.map(|(job, result)| match result {
        Some(unpacked) => Ok((job.scratch, unpacked)),
        None => Err(Error::Corrupt(format!("extract {}: no result", job.layer.path))),
    })
    .collect()
}

/// What a child says that it has done, if that is what the config wants.
fn taken(layer: &PackedLayer, answer: &[u8]) -> Result<Unpacked> {
    let unpacked: Unpacked = crate::json::from_slice(answer).map_err(|_| {
        Error::from_bytes(answer)
            .unwrap_or_else(|| Error::Corrupt(format!("extract {}: no result", layer.path)))
    })?;
    match layer.layer.filter(|wanted| *wanted != unpacked.layer) {
        None => Ok(unpacked),
        Some(wanted) => Err(Error::Corrupt(format!(
            "read layer {}: its content is {}, the config says {wanted}",
            layer.path, unpacked.layer
        ))),
    }
}

/// In the child.
fn work(job: &Job<'_>, report: &mut Reporter<'_>) -> Result<Unpacked> {
    let mut part = job.part.again()?;
    // A blob that is not compressed is verified by its DiffId.
    let wanted = job.layer.blob.filter(|blob| job.layer.layer.is_none_or(|layer| layer.0 != blob.0));
    let mut hash = wanted.is_some().then(Hasher::new);
    let (mut read, mut reported) = (0_u64, 0);
    let mut source = |buffer: &mut [u8]| {
        let count = part.read(buffer)?;
        read += count as u64;
        if read - reported >= STEP_BYTES || count == 0 {
            reported = read;
            report.far(read)?;
        }
        if let Some(hashed) = &mut hash {
            hashed.update(&buffer[..count]);
            if count == 0 && hash.take().map(|hash| BlobDigest(hash.finish())) != wanted {
                let blob = wanted.map(|blob| blob.to_string()).unwrap_or_default();
                return Err(Error::Corrupt(format!("read layer: blob {blob} is not what its name says")));
            }
        }
        Ok(count)
    };
    unpack(&mut source, job.scratch.directory().as_fd())
}
