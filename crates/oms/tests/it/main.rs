//! Signatures that are good, that were tampered with, and that another implementation made.

mod certificates;
mod pki;
mod reference;
mod round;
mod tampering;
