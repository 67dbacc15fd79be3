//! A program that does what it is told to: a sanitizer that runs finds what is wrong with it. Knows nothing of the crate.

fn main() {
    match std::env::args().nth(1).as_deref() {
        // On a stack that is gone, lest an address left on it is taken for a use.
        Some("leak") => std::thread::spawn(|| std::mem::forget(Box::new([1_u8; 64]))).join().unwrap(),
        Some("use after free") => {
            let bytes = vec![1_u8; 64];
            let at = bytes.as_ptr();
            drop(bytes);
            // SAFETY: there is none, which is what the sanitizer has to say.
            println!("{}", unsafe { at.read_volatile() });
        }
        _ => {}
    }
}
