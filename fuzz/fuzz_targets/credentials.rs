#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| nqsync_fuzz::bodies::credentials(data));
