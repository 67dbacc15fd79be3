//! Fuzzes `proxy`; what is checked stands in the library.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| gnezdo_fuzz::proxy::check(bytes));
