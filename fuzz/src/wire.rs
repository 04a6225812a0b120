//! What must hold for any bytes that a client or a server sends.

use skiff_core::{
    api::{
        body::BodyDecoder,
        filters::Filters,
        head::{Method, RequestHead, ResponseHead},
        target::Target,
        websocket::{Decoder, Kind},
    },
    events,
    frame::{FrameDecoder, Stream},
};

/// How long the pieces are that an input is cut into: the same for the same seed.
fn cuts(seed: u8) -> impl FnMut() -> usize {
    let mut state = u64::from(seed) | 1;
    move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let cut = (state >> 40) as usize;
        if cut & 1 == 0 { cut % 7 + 1 } else { cut % 700 + 1 }
    }
}

/// Hands the pieces of the input to `take`, until it says that it has enough.
fn in_pieces(mut input: &[u8], mut cut: impl FnMut() -> usize, take: &mut dyn FnMut(&[u8]) -> bool) {
    while !input.is_empty() {
        let (piece, rest) = input.split_at(cut().clamp(1, input.len()));
        input = rest;
        if !take(piece) {
            return;
        }
    }
}

/// A request's head is found at the same place whatever is behind it, and its body is the same however it is cut.
pub fn request(data: &[u8]) {
    let [seed, data @ ..] = data else { return };
    let _ = ResponseHead::parse(data, Method::Get);
    let Ok(Some((head, length))) = RequestHead::parse(data) else { return };
    assert!(length <= data.len() && data[..length].ends_with(b"\n"));
    assert_eq!(RequestHead::parse(&data[..length]), Ok(Some((head.clone(), length))));
    assert_ne!(
        RequestHead::parse(&data[..length - 1]).ok().flatten().map(|(_, length)| length),
        Some(length)
    );
    if let Ok(target) = Target::parse(&head.target) {
        assert!(target.segments.iter().all(|segment| !segment.is_empty() || head.target.contains("%")));
        let filters = target.query.text("filters").unwrap_or_default();
        if let Ok(filters) = Filters::parse(filters, events::FILTERS) {
            let _ = (filters.flag("dangling"), filters.allows_labels(|_| Some("b")));
        }
    }
    let body = |cut: &mut dyn FnMut() -> usize| {
        let mut decoder = BodyDecoder::new(head.framing);
        let (mut content, mut used, mut sound) = (Vec::new(), 0, true);
        in_pieces(&data[length..], cut, &mut |piece| {
            let mut rest = piece;
            while !rest.is_empty() && !decoder.is_complete() {
                let Ok(step) = decoder.step(rest) else {
                    sound = false;
                    return false;
                };
                assert!(step.consumed > 0, "a decoder that takes nothing would be asked for ever");
                assert!(step.data.end <= step.consumed && step.consumed <= rest.len());
                content.extend_from_slice(&rest[step.data.clone()]);
                used += step.consumed;
                rest = &rest[step.consumed..];
            }
            !decoder.is_complete()
        });
        // Where a fault is met within a piece is not told.
        let end = sound.then(|| (used, decoder.end_of_input().is_ok()));
        (content, end)
    };
    assert_eq!(body(&mut cuts(*seed)), body(&mut || usize::MAX));
}

/// The same frames, or the same fault, however the stream is cut.
pub fn frames(data: &[u8]) {
    let [seed, data @ ..] = data else { return };
    let read = |cut: &mut dyn FnMut() -> usize| {
        let mut decoder = FrameDecoder::default();
        let (mut frames, mut open, mut sound) = (Vec::<(Stream, Vec<u8>)>::new(), false, true);
        in_pieces(data, cut, &mut |piece| {
            let mut rest = piece;
            while !rest.is_empty() {
                match decoder.next(rest) {
                    Ok(None) => break,
                    Ok(Some(found)) => {
                        assert!(found.consumed > 0 && found.consumed <= rest.len());
                        if !open {
                            frames.push((found.stream, Vec::new()));
                        }
                        frames.last_mut().unwrap().1.extend_from_slice(&rest[found.data.clone()]);
                        open = !found.last;
                        rest = &rest[found.consumed..];
                    }
                    Err(_) => {
                        sound = false;
                        return false;
                    }
                }
            }
            true
        });
        (frames, sound, decoder.at_boundary())
    };
    assert_eq!(read(&mut cuts(*seed)), read(&mut || usize::MAX));
}

/// The same data between the same control frames, or the same fault, however a client's frames are cut.
pub fn websocket(data: &[u8]) {
    let [seed, data @ ..] = data else { return };
    let read = |cut: &mut dyn FnMut() -> usize| {
        let mut decoder = Decoder::default();
        let (mut frames, mut input, mut sound) = (Vec::<(Kind, Vec<u8>)>::new(), Vec::new(), true);
        in_pieces(data, cut, &mut |piece| {
            input.extend_from_slice(piece);
            loop {
                match decoder.next(&mut input) {
                    Ok(None) => return true,
                    Ok(Some(piece)) => {
                        assert!(piece.data.end <= piece.consumed && piece.consumed <= input.len());
                        // An empty piece that takes nothing would be asked for ever.
                        assert!(piece.consumed > 0 || piece.last);
                        match frames.last_mut() {
                            Some((kind, all)) if *kind == piece.kind => all.extend(&input[piece.data]),
                            _ => frames.push((piece.kind, input[piece.data].to_vec())),
                        }
                        input.drain(..piece.consumed);
                    }
                    Err(_) => {
                        sound = false;
                        return false;
                    }
                }
            }
        });
        (frames, sound)
    };
    assert_eq!(read(&mut cuts(*seed)), read(&mut || usize::MAX));
}
