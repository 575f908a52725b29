//! Our kernels in place of llama.cpp's, for the operations whose results would depend on the batch.
//!
//! llama.cpp calls [`compute`] on each of its threads for each operation of a graph. What is not ours, or
//! is proven to have one order of sums anyway, goes on to llama.cpp. What is neither is counted: see
//! [`unproven`].

mod attention;
mod products;

use std::ffi::{c_int, c_void};
use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering};

use llama_cpp_sys_2 as sys;
use sys::ggml_tensor as Tensor;

use attention::Attention;
use products::{Multiplication, Routed};

static UNPROVEN: AtomicBool = AtomicBool::new(false);

/// What llama.cpp tells each thread. seam.cpp checks the layout.
#[repr(C)]
struct Params {
    thread: c_int,
    threads: c_int,
    work_bytes: usize,
    work: *mut c_void,
    pool: *mut c_void,
    use_reference: bool,
}

unsafe extern "C" {
    fn cloister_kernels_install(
        compute: unsafe extern "C" fn(*const Params, *mut Tensor) -> bool,
        work_size: unsafe extern "C" fn(c_int, *const Tensor, *mut usize) -> bool,
    );
    fn ggml_barrier(pool: *mut c_void);
    fn ggml_threadpool_chunk_set(pool: *mut c_void, value: c_int);
    fn ggml_threadpool_chunk_add(pool: *mut c_void, value: c_int) -> c_int;
}

/// Puts our kernels in place, for the whole process.
pub(crate) fn install() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // SAFETY: both functions live for ever and have the types that the C++ side declares; no context
        // exists yet that could be computing.
        unsafe { cloister_kernels_install(compute, work_size) };
    });
}

/// Whether an operation was left to kernels of llama.cpp whose sums depend on the batch.
pub(crate) fn unproven() -> bool {
    UNPROVEN.load(Ordering::Relaxed)
}

unsafe extern "C" fn work_size(_threads: c_int, op: *const Tensor, size: *mut usize) -> bool {
    // SAFETY: llama.cpp passes a node of a graph that it holds.
    let op = unsafe { &*op };
    let attention = Attention::of(op).map(|attention| attention.work_bytes());
    let Some(bytes) = attention.or_else(|| Some(Routed::of(op)?.work_bytes())) else { return false };
    // SAFETY: llama.cpp passes a place for the size.
    unsafe { *size = bytes };
    true
}

unsafe extern "C" fn compute(params: *const Params, op: *mut Tensor) -> bool {
    // SAFETY: llama.cpp passes its own parameters and a node of the graph that it computes.
    let (params, op) = unsafe { (&*params, &*op) };
    match op.op {
        sys::GGML_OP_MUL_MAT => {
            if let Some(multiplication) = Multiplication::of(op) {
                multiplication.compute(params);
                return true;
            }
            UNPROVEN.store(true, Ordering::Relaxed);
        }
        sys::GGML_OP_FLASH_ATTN_EXT => {
            if let Some(attention) = Attention::of(op) {
                attention.compute(params);
                return true;
            }
            UNPROVEN.store(true, Ordering::Relaxed);
        }
        sys::GGML_OP_MUL_MAT_ID => {
            if let Some(routed) = Routed::of(op) {
                routed.compute(params);
                return true;
            }
            UNPROVEN.store(true, Ordering::Relaxed);
        }
        sys::GGML_OP_OUT_PROD => UNPROVEN.store(true, Ordering::Relaxed),
        _ => {}
    }
    false
}

impl Params {
    fn thread(&self) -> usize {
        usize::try_from(self.thread).unwrap_or(0)
    }

    fn threads(&self) -> usize {
        usize::try_from(self.threads).unwrap_or(1)
    }

    /// Calls `work` with numbers below `count`, each on one thread. Waits first until every thread is here.
    fn share(&self, count: usize, mut work: impl FnMut(usize)) {
        // SAFETY: the pool is that of the threads that compute this operation, and all of them come here.
        unsafe {
            if self.thread == 0 {
                ggml_threadpool_chunk_set(self.pool, self.threads);
            }
            ggml_barrier(self.pool);
        }
        let mut number = self.thread();
        while number < count {
            work(number);
            // SAFETY: as above.
            number =
                usize::try_from(unsafe { ggml_threadpool_chunk_add(self.pool, 1) }).unwrap_or(usize::MAX);
        }
    }

    /// Waits until every thread is here.
    fn wait(&self) {
        // SAFETY: as in `share`.
        unsafe { ggml_barrier(self.pool) };
    }

    /// A part of the work buffer, as floats.
    ///
    /// # Safety
    /// No two threads may hold overlapping parts at a time.
    unsafe fn floats<'a>(&self, start: usize, len: usize) -> &'a mut [f32] {
        assert!((start + len) * size_of::<f32>() <= self.work_bytes, "the work buffer is too small");
        // SAFETY: inside the buffer, which is aligned for floats and lives as long as the computation.
        unsafe { std::slice::from_raw_parts_mut(self.work.cast::<f32>().add(start), len) }
    }
}

/// A tensor's sizes, innermost first.
fn sizes(tensor: &Tensor) -> [usize; 4] {
    tensor.ne.map(|size| usize::try_from(size).unwrap_or(0))
}

/// The source at a place of a node.
fn source(op: &Tensor, index: usize) -> Option<&Tensor> {
    // SAFETY: null, or a tensor of the same graph.
    unsafe { op.src[index].as_ref() }
}

/// The bytes of a tensor from an offset on, to its end.
///
/// # Safety
/// The data must be in memory and not be written meanwhile.
unsafe fn bytes_from<'a>(tensor: &Tensor, offset: usize) -> &'a [u8] {
    // SAFETY: reads sizes and strides of the tensor.
    let all = unsafe { sys::ggml_nbytes(tensor) };
    assert!(offset <= all, "an offset beyond a tensor's end");
    // SAFETY: a tensor has that many bytes, by llama.cpp's own count.
    unsafe { std::slice::from_raw_parts(tensor.data.cast::<u8>().add(offset), all - offset) }
}
