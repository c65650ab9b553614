//! The committed corpus of the fuzz targets through the same functions, without a fuzzer; each file also cut off at several
//! places and with single bytes changed.

#[path = "../fuzz/src/bodies.rs"]
mod bodies;

use std::path::Path;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

#[test]
fn every_target_has_a_corpus_and_survives_it_whole_cut_and_altered() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
    for (name, target) in bodies::TARGETS {
        let source = root.join(format!("fuzz_targets/{name}.rs"));
        assert!(source.exists(), "{name} has no fuzz target");
        let mut files = 0;
        for entry in std::fs::read_dir(root.join("corpus").join(name)).expect("its corpus") {
            let path = entry.expect("an entry").path();
            let bytes = std::fs::read(&path).expect("a small file");
            assert!(bytes.len() < 64 << 10, "{}", path.display());
            files += 1;
            target(&bytes);
            let mut random = StdRng::seed_from_u64(2026);
            for _ in 0..200 {
                let mut changed = bytes.clone();
                changed.truncate(random.random_range(0..=bytes.len()));
                for _ in 0..random.random_range(0..4) {
                    if !changed.is_empty() {
                        let at = random.random_range(0..changed.len());
                        changed[at] = random.random();
                    }
                }
                // Shown only when the target panics.
                println!(
                    "{name}, {}: {:?}",
                    path.display(),
                    String::from_utf8_lossy(&changed)
                );
                target(&changed);
            }
        }
        assert!(files >= 3, "{name} has {files} files; a few are needed");
    }
}
