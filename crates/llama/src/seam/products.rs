//! Products of weights and activations in place of llama.cpp's.

use std::ffi::{c_int, c_void};
use std::ops::Range;

use kernels::product::{Format, Matrix, ROWS, product};
use llama_cpp_sys_2 as sys;
use sys::ggml_tensor as Tensor;

use super::{Params, bytes_from, sizes, source};

/// Rows of weights that a thread takes at once, at most; whole groups of [`ROWS`].
const CHUNK_ROWS_MAX: usize = 256;

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

/// Matrices of weights, and activations that they are multiplied with.
struct Factors<'a> {
    weights: &'a Tensor,
    activations: &'a Tensor,
    kind: Kind,
    traits: &'a sys::ggml_type_traits_cpu,
    quantize: Option<unsafe extern "C" fn(*const f32, *mut c_void, i64)>,
    /// Bytes of a column of activations as the product takes it.
    column_bytes: usize,
    block: usize,
}

impl<'a> Factors<'a> {
    /// Sources 0 and 1 of a node, where they are such that their product can be formed here.
    fn of(op: &'a Tensor) -> Option<Self> {
        let (weights, activations) = (source(op, 0)?, source(op, 1)?);
        let kind = Kind::of(weights.type_);
        if activations.type_ != sys::GGML_TYPE_F32 || activations.nb[0] != 4 {
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
        Some(Factors { weights, activations, kind, traits, quantize, column_bytes, block })
    }

    /// Brings a column of activations, at a byte of theirs, into column `index` of the work buffer. Threads
    /// share it by blocks, so that one column is shared as well.
    fn prepare(&self, params: &Params, from: usize, index: usize) {
        let length = sizes(self.activations)[0];
        let blocks = length / self.block;
        let [start, end] =
            [0, 1].map(|next| blocks * (params.thread() + next) / params.threads() * self.block);
        let to = index * self.column_bytes + start / self.block * (self.column_bytes / blocks);
        assert!((index + 1) * self.column_bytes <= params.work_bytes, "the work buffer is too small");
        // SAFETY: reads floats of a column and writes their blocks, which no other thread writes, inside the
        // work buffer.
        unsafe {
            let from = self.activations.data.cast::<u8>().add(from + start * 4);
            let to = params.work.cast::<u8>().add(to);
            match self.quantize {
                Some(quantize) => quantize(from.cast(), to.cast(), i64::try_from(end - start).unwrap_or(0)),
                None => to.copy_from_nonoverlapping(from, (end - start) * 4),
            }
        }
    }

    /// Columns of the work buffer from one on. Every thread must have prepared its part.
    fn prepared(&self, params: &Params, first: usize) -> Matrix<'_> {
        // SAFETY: after `Params::share` began no thread writes there any more.
        let all = unsafe { std::slice::from_raw_parts(params.work.cast::<u8>(), params.work_bytes) };
        Matrix {
            bytes: &all[first * self.column_bytes..],
            stride: self.column_bytes,
            row_bytes: self.column_bytes,
        }
    }

    /// How many rows a thread takes at once, and how many times.
    fn chunks(&self, params: &Params) -> (usize, usize) {
        let rows = sizes(self.weights)[1];
        let groups = rows.div_ceil(ROWS);
        let chunk = groups.div_ceil(params.threads() * 8).clamp(1, CHUNK_ROWS_MAX / ROWS) * ROWS;
        (chunk, rows.div_ceil(chunk))
    }

    /// Multiplies rows of the matrix that begins at a byte of the weights.
    fn multiply(
        &self,
        matrix: usize,
        rows: Range<usize>,
        activations: Matrix<'_>,
        columns: usize,
        write: impl FnMut(usize, usize, &[f32]),
    ) {
        // SAFETY: weights are not written while a graph is computed.
        let bytes = unsafe { bytes_from(self.weights, matrix) };
        // SAFETY: reads sizes of a known type.
        let row_bytes = unsafe { sys::ggml_row_size(self.weights.type_, self.weights.ne[0]) };
        let weights = Matrix { bytes, stride: self.weights.nb[1], row_bytes };
        match self.kind {
            Kind::Own(format) => product(format, weights, rows, activations, columns, write),
            Kind::Single => self.singles(weights, rows, activations, columns, write),
        }
    }

    fn singles(
        &self,
        weights: Matrix<'_>,
        rows: Range<usize>,
        activations: Matrix<'_>,
        columns: usize,
        mut write: impl FnMut(usize, usize, &[f32]),
    ) {
        let Some(dot) = self.traits.vec_dot else { return };
        let length = c_int::try_from(sizes(self.weights)[0]).unwrap_or(0);
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

/// Writes values of a result, at a byte of it.
///
/// # Safety
/// They must lie inside the result, and no other thread may write there.
unsafe fn put(op: &Tensor, offset: usize, values: &[f32]) {
    // SAFETY: as demanded.
    unsafe {
        let to = op.data.cast::<u8>().add(offset).cast::<f32>();
        to.copy_from_nonoverlapping(values.as_ptr(), values.len());
    }
}

/// A product of a matrix of weights and a matrix of activations, or several beside each other.
pub(super) struct Multiplication<'a> {
    op: &'a Tensor,
    factors: Factors<'a>,
}

impl<'a> Multiplication<'a> {
    pub(super) fn of(op: &'a Tensor) -> Option<Self> {
        let hadamard = op.op_params[1] != 0;
        if hadamard { None } else { Some(Multiplication { op, factors: Factors::of(op)? }) }
    }

    pub(super) fn compute(&self, params: &Params) {
        let factors = &self.factors;
        let [_, columns, planes_2, planes_3] = sizes(factors.activations);
        if factors.quantize.is_some() {
            for index in 0..columns * planes_2 * planes_3 {
                factors.prepare(params, self.activation_offset(index, columns, planes_2), index);
            }
        }
        let rows = sizes(factors.weights)[1];
        let (chunk, chunks) = factors.chunks(params);
        params.share(chunks * planes_2 * planes_3, |number| {
            let (plane, first) = (number / chunks, number % chunks * chunk);
            self.chunk(params, plane, first..(first + chunk).min(rows));
        });
    }

    fn activation_offset(&self, column: usize, columns: usize, planes_2: usize) -> usize {
        let (plane, column) = (column / columns, column % columns);
        let nb = self.factors.activations.nb;
        column * nb[1] + plane % planes_2 * nb[2] + plane / planes_2 * nb[3]
    }

    fn chunk(&self, params: &Params, plane: usize, rows: Range<usize>) {
        let factors = &self.factors;
        let [_, columns, planes_2, planes_3] = sizes(factors.activations);
        let [_, _, weights_2, weights_3] = sizes(factors.weights);
        let (at_2, at_3) = (plane % planes_2, plane / planes_2);
        let matrix = at_2 / (planes_2 / weights_2) * factors.weights.nb[2]
            + at_3 / (planes_3 / weights_3) * factors.weights.nb[3];
        let activations = if factors.quantize.is_some() {
            factors.prepared(params, plane * columns)
        } else {
            let offset = self.activation_offset(plane * columns, columns, planes_2);
            // SAFETY: sources are not written while a node is computed.
            let bytes = unsafe { bytes_from(factors.activations, offset) };
            Matrix { bytes, stride: factors.activations.nb[1], row_bytes: factors.column_bytes }
        };
        let out = at_2 * self.op.nb[2] + at_3 * self.op.nb[3];
        factors.multiply(matrix, rows, activations, columns, |row, column, values| {
            // SAFETY: inside the result, whose sizes are rows by columns; no other thread has these rows.
            unsafe { put(self.op, out + column * self.op.nb[1] + row * 4, values) };
        });
    }
}

/// Products of a mixture of experts: each column of activations with the matrices of the experts that it was
/// routed to. Columns of one expert are multiplied together; since an element's chain does not depend on its
/// company, it does not matter who else was routed there.
pub(super) struct Routed<'a> {
    op: &'a Tensor,
    factors: Factors<'a>,
    /// For each token, the experts that it uses.
    ids: &'a Tensor,
}

/// A column of the work buffer: which expert multiplies it, and for which place of which token.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Route {
    expert: usize,
    token: usize,
    place: usize,
}

impl<'a> Routed<'a> {
    pub(super) fn of(op: &'a Tensor) -> Option<Self> {
        if op.op != sys::GGML_OP_MUL_MAT_ID {
            return None;
        }
        let (factors, ids) = (Factors::of(op)?, source(op, 2)?);
        let [_, places, tokens, planes] = sizes(factors.activations);
        let supported = ids.type_ == sys::GGML_TYPE_I32
            && ids.nb[0] == 4
            && planes == 1
            && sizes(factors.weights)[3] == 1
            && sizes(ids)[1] == tokens
            && (places == 1 || places == sizes(ids)[0]);
        supported.then_some(Routed { op, factors, ids })
    }

    pub(super) fn work_bytes(&self) -> usize {
        let [places, tokens, ..] = sizes(self.ids);
        places * tokens * self.factors.column_bytes
    }

    /// All columns, those of one expert in a row.
    fn routes(&self) -> Vec<Route> {
        let [places, tokens, ..] = sizes(self.ids);
        let experts = sizes(self.factors.weights)[2];
        let mut routes = Vec::with_capacity(places * tokens);
        for token in 0..tokens {
            // SAFETY: sources are not written while a node is computed.
            let ids = unsafe { bytes_from(self.ids, token * self.ids.nb[1]) };
            for (place, id) in ids.as_chunks::<4>().0.iter().take(places).enumerate() {
                let expert = usize::try_from(i32::from_le_bytes(*id)).unwrap_or(usize::MAX);
                assert!(expert < experts, "an expert that does not exist");
                routes.push(Route { expert, token, place });
            }
        }
        routes.sort_unstable();
        routes
    }

    pub(super) fn compute(&self, params: &Params) {
        let factors = &self.factors;
        let [_, places, ..] = sizes(factors.activations);
        let nb = factors.activations.nb;
        let routes = self.routes();
        for (index, route) in routes.iter().enumerate() {
            factors.prepare(params, route.place % places * nb[1] + route.token * nb[2], index);
        }
        let groups: Vec<&[Route]> = routes.chunk_by(|a, b| a.expert == b.expert).collect();
        let firsts: Vec<usize> =
            groups.iter().scan(0, |next, group| Some(std::mem::replace(next, *next + group.len()))).collect();
        let rows = sizes(factors.weights)[1];
        let (chunk, chunks) = factors.chunks(params);
        params.share(chunks * groups.len(), |number| {
            let (group, first) = (number / chunks, number % chunks * chunk);
            let (routes, rows) = (groups[group], first..(first + chunk).min(rows));
            let matrix = routes[0].expert * factors.weights.nb[2];
            let activations = factors.prepared(params, firsts[group]);
            factors.multiply(matrix, rows, activations, routes.len(), |row, column, values| {
                let Route { token, place, .. } = routes[column];
                // SAFETY: inside the result, whose sizes are rows by places by tokens; no other thread has
                // these rows of this expert.
                unsafe { put(self.op, token * self.op.nb[2] + place * self.op.nb[1] + row * 4, values) };
            });
        });
    }
}
