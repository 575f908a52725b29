//! A model file's header, which our reader sees before C++ does.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let _refused = models::gguf::read(&mut std::io::Cursor::new(bytes));
});
