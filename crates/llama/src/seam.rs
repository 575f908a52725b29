//! Our kernels in place of llama.cpp's, for the operations whose results would depend on the batch.
//!
//! llama.cpp calls [`compute`] on each of its threads for each operation of a graph. What is not ours, or
//! is proven to have one order of sums anyway, goes on to llama.cpp. What is neither is counted: see
//! [`unproven`].

use std::ffi::{c_int, c_void};
use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering};

use kernels::attention::{self, CELLS, Cache, HEAD_MAX, Part, Query, SEGMENT, Scratch};
use kernels::product::{Format, Matrix, ROWS, product};
use llama_cpp_sys_2 as sys;
use sys::ggml_tensor as Tensor;

/// Rows of weights that a thread takes at once, at most; whole groups of [`ROWS`].
const CHUNK_ROWS_MAX: usize = 256;
/// Queries of one head that a thread takes at once.
const CHUNK_QUERIES: usize = 112;

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
    let Some(attention) = Attention::of(op) else { return false };
    // SAFETY: llama.cpp passes a place for the size.
    unsafe { *size = attention.work_bytes() };
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
        sys::GGML_OP_MUL_MAT_ID | sys::GGML_OP_OUT_PROD => UNPROVEN.store(true, Ordering::Relaxed),
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

/// How weights of a type are multiplied.
#[derive(Clone, Copy)]
enum Kind {
    Own(Format),
    /// By llama.cpp's product of one row and one column.
    Single,
}

impl Kind {
    fn of(weights: sys::ggml_type) -> Kind {
        Kind::Own(match weights {
            sys::GGML_TYPE_Q4_0 => Format::Q4_0,
            sys::GGML_TYPE_Q5_0 => Format::Q5_0,
            sys::GGML_TYPE_Q8_0 => Format::Q8_0,
            sys::GGML_TYPE_Q4_K => Format::Q4K,
            sys::GGML_TYPE_Q5_K => Format::Q5K,
            sys::GGML_TYPE_Q6_K => Format::Q6K,
            _ => return Kind::Single,
        })
    }
}

/// A product of a matrix of weights and a matrix of activations, or several beside each other.
struct Multiplication<'a> {
    op: &'a Tensor,
    weights: &'a Tensor,
    activations: &'a Tensor,
    kind: Kind,
    traits: &'a sys::ggml_type_traits_cpu,
    quantize: Option<unsafe extern "C" fn(*const f32, *mut c_void, i64)>,
    /// Bytes of a column of activations as the product takes it.
    column_bytes: usize,
    block: usize,
}

impl<'a> Multiplication<'a> {
    fn of(op: &'a Tensor) -> Option<Self> {
        let (weights, activations) = (source(op, 0)?, source(op, 1)?);
        let kind = Kind::of(weights.type_);
        let hadamard = op.op_params[1] != 0;
        if hadamard || activations.type_ != sys::GGML_TYPE_F32 || activations.nb[0] != 4 {
            return None;
        }
        // SAFETY: every type has its traits, which live for ever.
        let traits = unsafe { &*sys::ggml_get_type_traits_cpu(weights.type_) };
        traits.vec_dot?;
        let column_type = traits.vec_dot_type;
        // SAFETY: as above, for the type that activations are brought into.
        let quantize = unsafe { (*sys::ggml_get_type_traits_cpu(column_type)).from_float };
        let quantize = if column_type == activations.type_ { None } else { Some(quantize?) };
        // SAFETY: plain arithmetic on a known type.
        let (column_bytes, block) =
            unsafe { (sys::ggml_row_size(column_type, activations.ne[0]), sys::ggml_blck_size(column_type)) };
        let block = usize::try_from(block).ok()?;
        // SAFETY: as above.
        let row = unsafe { sys::ggml_type_size(weights.type_) };
        if weights.nb[0] != row || op.nb[0] != 4 {
            return None;
        }
        Some(Multiplication { op, weights, activations, kind, traits, quantize, column_bytes, block })
    }

    fn compute(&self, params: &Params) {
        let [length, columns, planes_2, planes_3] = sizes(self.activations);
        let rows = sizes(self.weights)[1];
        if let Some(quantize) = self.quantize {
            // By blocks, so that one column is shared as well.
            let blocks = length / self.block;
            let [start, end] =
                [0, 1].map(|next| blocks * (params.thread() + next) / params.threads() * self.block);
            for (index, column) in (0..columns * planes_2 * planes_3).enumerate() {
                let from = self.activation_offset(column, columns, planes_2) + start * 4;
                // SAFETY: reads floats of a column and writes their blocks, which no other thread writes;
                // the work buffer has room for all columns, as llama.cpp computes it.
                unsafe {
                    let to = index * self.column_bytes + start / self.block * (self.column_bytes / blocks);
                    assert!(
                        (index + 1) * self.column_bytes <= params.work_bytes,
                        "the work buffer is too small"
                    );
                    quantize(
                        self.activations.data.cast::<u8>().add(from).cast(),
                        params.work.cast::<u8>().add(to).cast(),
                        i64::try_from(end - start).unwrap_or(0),
                    );
                }
            }
        }
        let groups = rows.div_ceil(ROWS);
        let chunk = groups.div_ceil(params.threads() * 8).clamp(1, CHUNK_ROWS_MAX / ROWS) * ROWS;
        let chunks = rows.div_ceil(chunk);
        params.share(chunks * planes_2 * planes_3, |number| {
            let (plane, first) = (number / chunks, number % chunks * chunk);
            self.chunk(params, plane, first..(first + chunk).min(rows));
        });
    }

    fn activation_offset(&self, column: usize, columns: usize, planes_2: usize) -> usize {
        let (plane, column) = (column / columns, column % columns);
        let nb = self.activations.nb;
        column * nb[1] + plane % planes_2 * nb[2] + plane / planes_2 * nb[3]
    }

    fn chunk(&self, params: &Params, plane: usize, rows: std::ops::Range<usize>) {
        let [_, columns, planes_2, planes_3] = sizes(self.activations);
        let [length, _, weights_2, weights_3] = sizes(self.weights);
        let (at_2, at_3) = (plane % planes_2, plane / planes_2);
        let weights_offset = at_2 / (planes_2 / weights_2) * self.weights.nb[2]
            + at_3 / (planes_3 / weights_3) * self.weights.nb[3];
        // SAFETY: weights are not written while a graph is computed.
        let weights = unsafe { bytes_from(self.weights, weights_offset) };
        let (columns_bytes, column_stride) = if self.quantize.is_some() {
            // SAFETY: every thread has written its part before any came here, and writes no more.
            let all = unsafe { std::slice::from_raw_parts(params.work.cast::<u8>(), params.work_bytes) };
            (&all[plane * columns * self.column_bytes..], self.column_bytes)
        } else {
            let offset = self.activation_offset(plane * columns, columns, planes_2);
            // SAFETY: sources are not written while a node is computed.
            (unsafe { bytes_from(self.activations, offset) }, self.activations.nb[1])
        };
        // SAFETY: reads sizes of a known type.
        let row_bytes = unsafe { sys::ggml_row_size(self.weights.type_, self.weights.ne[0]) };
        let weights = Matrix { bytes: weights, stride: self.weights.nb[1], row_bytes };
        let activations =
            Matrix { bytes: columns_bytes, stride: column_stride, row_bytes: self.column_bytes };
        let out_offset = at_2 * self.op.nb[2] + at_3 * self.op.nb[3];
        let write = |row: usize, column: usize, values: &[f32]| {
            let offset = out_offset + column * self.op.nb[1] + row * 4;
            // SAFETY: inside the result, whose sizes are rows by columns; no other thread has these rows.
            unsafe {
                let to = self.op.data.cast::<u8>().add(offset).cast::<f32>();
                to.copy_from_nonoverlapping(values.as_ptr(), values.len());
            }
        };
        match self.kind {
            Kind::Own(format) => product(format, weights, rows, activations, columns, write),
            Kind::Single => self.singles(length, weights, rows, activations, columns, write),
        }
    }

    fn singles(
        &self,
        length: usize,
        weights: Matrix<'_>,
        rows: std::ops::Range<usize>,
        activations: Matrix<'_>,
        columns: usize,
        mut write: impl FnMut(usize, usize, &[f32]),
    ) {
        let Some(dot) = self.traits.vec_dot else { return };
        let length = c_int::try_from(length).unwrap_or(0);
        for row in rows {
            let row_start = row * weights.stride;
            let row_bytes = &weights.bytes[row_start..row_start + weights.row_bytes];
            for column in 0..columns {
                let column_start = column * activations.stride;
                let column_bytes = &activations.bytes[column_start..column_start + activations.row_bytes];
                let mut value = 0.0;
                // SAFETY: a row and a column of `length` values in the formats that the function takes.
                unsafe {
                    dot(
                        length,
                        &mut value,
                        0,
                        row_bytes.as_ptr().cast(),
                        0,
                        column_bytes.as_ptr().cast(),
                        0,
                        1,
                    );
                }
                write(row, column, &[value]);
            }
        }
    }
}

/// Attention of queries over the caches of keys and values, for each stream and head.
struct Attention<'a> {
    op: &'a Tensor,
    queries: &'a Tensor,
    keys: &'a Tensor,
    values: &'a Tensor,
    mask: &'a Tensor,
    scale: f32,
}

impl<'a> Attention<'a> {
    fn of(op: &'a Tensor) -> Option<Self> {
        if op.op != sys::GGML_OP_FLASH_ATTN_EXT {
            return None;
        }
        let (queries, keys, values, mask) = (source(op, 0)?, source(op, 1)?, source(op, 2)?, source(op, 3)?);
        let [scale, max_bias, softcap] =
            [0, 1, 2].map(|index| f32::from_bits(op.op_params[index].cast_unsigned()));
        let [head, cells, kv_heads, streams] = sizes(keys);
        let supported = max_bias == 0.0
            && softcap == 0.0
            && source(op, 4).is_none()
            && queries.type_ == sys::GGML_TYPE_F32
            && [keys, values, mask].iter().all(|tensor| tensor.type_ == sys::GGML_TYPE_F16)
            && queries.nb[0] == 4
            && [keys, values, mask].iter().all(|tensor| tensor.nb[0] == 2)
            && [keys, values].iter().all(|tensor| tensor.nb[1].is_multiple_of(2))
            && [head, sizes(values)[0]].iter().all(|&head| head.is_multiple_of(8) && head <= HEAD_MAX)
            && head == sizes(values)[0]
            && cells.is_multiple_of(CELLS)
            && sizes(mask)[0] == cells
            && sizes(mask)[2] == 1
            && sizes(queries)[2].is_multiple_of(kv_heads)
            && sizes(queries)[3] == streams
            && sizes(values)[1..] == sizes(keys)[1..];
        supported.then_some(Attention { op, queries, keys, values, mask, scale })
    }

    fn segments(&self) -> usize {
        sizes(self.keys)[1].div_ceil(SEGMENT)
    }

    /// Each query's part of each segment.
    fn work_bytes(&self) -> usize {
        let [head, tokens, heads, streams] = sizes(self.queries);
        tokens * heads * streams * self.segments() * Part::floats(head) * size_of::<f32>()
    }

    /// Where a query's part of a segment is in the work buffer.
    fn part_start(&self, stream: usize, token: usize, query_head: usize, segment: usize) -> usize {
        let [head, tokens, heads, _] = sizes(self.queries);
        (((stream * tokens + token) * heads + query_head) * self.segments() + segment) * Part::floats(head)
    }

    fn compute(&self, params: &Params) {
        let [head, tokens, heads, streams] = sizes(self.queries);
        let kv_heads = sizes(self.keys)[2];
        let group = heads / kv_heads;
        let chunk = (CHUNK_QUERIES / group).max(1);
        let (segments, chunks) = (self.segments(), tokens.div_ceil(chunk));
        let mut scratch = Scratch::new();
        params.share(streams * kv_heads * chunks * segments, |number| {
            let (number, segment) = (number / segments, number % segments);
            let (number, first) = (number / chunks, number % chunks * chunk);
            let (stream, kv_head) = (number / kv_heads, number % kv_heads);
            let tokens = first..(first + chunk).min(tokens);
            self.segment(params, &mut scratch, stream, kv_head, group, tokens, segment);
        });
        params.wait();
        // Each thread joins the parts of some queries, in the order of their segments.
        for query in (params.thread()..streams * tokens * heads).step_by(params.threads()) {
            let (rest, query_head) = (query / heads, query % heads);
            let (stream, token) = (rest / tokens, rest % tokens);
            let part = |segment| {
                let start = self.part_start(stream, token, query_head, segment);
                // SAFETY: this thread alone has this query, and the parts of its segments do not overlap.
                Part::new(unsafe { params.floats(start, Part::floats(head)) })
            };
            let mut all = part(0);
            for segment in 1..segments {
                all.merge(&mut part(segment));
            }
            let offset = query_head * self.op.nb[1] + token * self.op.nb[2] + stream * self.op.nb[3];
            // SAFETY: a head of the result, which no other thread writes.
            let out = unsafe {
                std::slice::from_raw_parts_mut(self.op.data.cast::<u8>().add(offset).cast::<f32>(), head)
            };
            all.finish(out);
        }
    }

    #[expect(clippy::too_many_arguments, reason = "the coordinates of a piece of work")]
    fn segment(
        &self,
        params: &Params,
        scratch: &mut Scratch,
        stream: usize,
        kv_head: usize,
        group: usize,
        tokens: std::ops::Range<usize>,
        segment: usize,
    ) {
        let [head, cells, ..] = sizes(self.keys);
        let cache = |tensor: &Tensor| {
            let offset = kv_head * tensor.nb[2] + stream * tensor.nb[3];
            // SAFETY: the caches are not written while attention is computed.
            Cache { bytes: unsafe { bytes_from(tensor, offset) }, stride: tensor.nb[1], head }
        };
        let mask_stream = stream % sizes(self.mask)[3];
        let mut queries = Vec::with_capacity(tokens.len() * group);
        let mut parts = Vec::with_capacity(queries.capacity());
        for token in tokens {
            let mask_offset = token * self.mask.nb[1] + mask_stream * self.mask.nb[3];
            for query_head in kv_head * group..(kv_head + 1) * group {
                let offset = token * self.queries.nb[1]
                    + query_head * self.queries.nb[2]
                    + stream * self.queries.nb[3];
                // SAFETY: sources are not written while a node is computed.
                let (values, mask) =
                    unsafe { (bytes_from(self.queries, offset), bytes_from(self.mask, mask_offset)) };
                let values = bytemuck::cast_slice(&values[..head * size_of::<f32>()]);
                let mask = bytemuck::cast_slice(&mask[..cells * size_of::<u16>()]);
                queries.push(Query { values, mask });
                let start = self.part_start(stream, token, query_head, segment);
                // SAFETY: this thread alone has this segment of these queries; parts do not overlap.
                let mut part = Part::new(unsafe { params.floats(start, Part::floats(head)) });
                part.clear();
                parts.push(part);
            }
        }
        let range = segment * SEGMENT..((segment + 1) * SEGMENT).min(cells);
        attention::segment(
            cache(self.keys),
            cache(self.values),
            range,
            self.scale,
            &queries,
            scratch,
            &mut parts,
        );
    }
}
