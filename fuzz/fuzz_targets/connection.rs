//! The listener and hyper give the same responses, however the requests are split. The first byte selects the pieces, the rest is the
//! stream.
#![no_main]

use libfuzzer_sys::fuzz_target;
use private_media_listener::check_parity;

fuzz_target!(|input: &[u8]| {
    let Some((&seed, mut rest)) = input.split_first() else { return };
    let mut random = u32::from(seed) | 0x0100;
    let mut pieces = Vec::new();
    while !rest.is_empty() && pieces.len() < 16 {
        random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        // 0: one piece. 1: single bytes.
        let len = match seed {
            0 => rest.len(),
            1 => 1,
            _ => 1 + (random >> 16) as usize % 48,
        };
        let (piece, after) = rest.split_at(len.min(rest.len()));
        pieces.push(piece);
        rest = after;
    }
    pieces.push(rest);
    if let Err(difference) = check_parity(&pieces) {
        panic!("{difference}");
    }
});
