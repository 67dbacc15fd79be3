//! Fuzzes `world`; what is checked stands in the library.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| gnezdo_fuzz::world::check(bytes));
