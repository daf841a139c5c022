#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| reveille_fuzz::trace_file(data));
