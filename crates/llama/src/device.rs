//! GPUs, as llama.cpp sees them.

use std::ffi::CStr;

use llama_cpp_sys_2 as sys;

/// One GPU.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gpu {
    /// As its maker calls it.
    pub name: String,
    /// Bytes of its memory that nobody uses.
    pub memory_free_bytes: u64,
    /// Bytes of its memory.
    pub memory_bytes: u64,
}

/// The GPUs that models are loaded onto. None where the build has no kernels for them, or no driver answers; then
/// the log sink has what the driver's library said.
pub fn gpus() -> Vec<Gpu> {
    // SAFETY: no precondition.
    let count = unsafe { sys::ggml_backend_dev_count() };
    // SAFETY: the number is below the count; devices live as long as the process.
    let devices = (0..count).map(|number| unsafe { sys::ggml_backend_dev_get(number) });
    let gpus = devices.filter(|&device| {
        // SAFETY: as above.
        unsafe { sys::ggml_backend_dev_type(device) == sys::GGML_BACKEND_DEVICE_TYPE_GPU }
    });
    gpus.map(|device| {
        let (mut free, mut total) = (0, 0);
        // SAFETY: as above; the two places are valid, and the text is NUL-terminated and lives with the device.
        let name = unsafe {
            sys::ggml_backend_dev_memory(device, &raw mut free, &raw mut total);
            CStr::from_ptr(sys::ggml_backend_dev_description(device))
        };
        Gpu {
            name: name.to_string_lossy().into_owned(),
            memory_free_bytes: free as u64,
            memory_bytes: total as u64,
        }
    })
    .collect()
}
