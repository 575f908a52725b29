//! Attention in place of llama.cpp's.

use kernels::attention::{self, CELLS, Cache, HEAD_MAX, Part, Query, SEGMENT, Scratch};
use llama_cpp_sys_2 as sys;
use sys::ggml_tensor as Tensor;

use super::{Params, bytes_from, sizes, source};

/// Queries of one head that a thread takes at once.
const CHUNK_QUERIES: usize = 112;

/// Attention of queries over the caches of keys and values, for each stream and head.
pub(super) struct Attention<'a> {
    op: &'a Tensor,
    queries: &'a Tensor,
    keys: &'a Tensor,
    values: &'a Tensor,
    mask: &'a Tensor,
    scale: f32,
}

impl<'a> Attention<'a> {
    pub(super) fn of(op: &'a Tensor) -> Option<Self> {
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
    pub(super) fn work_bytes(&self) -> usize {
        let [head, tokens, heads, streams] = sizes(self.queries);
        tokens * heads * streams * self.segments() * Part::floats(head) * size_of::<f32>()
    }

    /// Where a query's part of a segment is in the work buffer.
    fn part_start(&self, stream: usize, token: usize, query_head: usize, segment: usize) -> usize {
        let [head, tokens, heads, _] = sizes(self.queries);
        (((stream * tokens + token) * heads + query_head) * self.segments() + segment) * Part::floats(head)
    }

    pub(super) fn compute(&self, params: &Params) {
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
        let in_order = attention::segment(
            cache(self.keys),
            cache(self.values),
            range,
            self.scale,
            &queries,
            scratch,
            &mut parts,
        );
        if !in_order {
            super::UNPROVEN.store(true, std::sync::atomic::Ordering::Relaxed);
        }
    }
}
