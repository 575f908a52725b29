//! What everybody writes.
