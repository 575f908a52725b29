//! Names that the format and llama.cpp know: metadata keys and tensors. Numbers in them are written `N`.

/// Behind `general.`: the GGUF specification's, and those that llama.cpp writes.
const GENERAL: &str = "
    architecture quantization_version alignment file_type type name author version organization basename finetune
    description quantized_by size_label license license.name license.link url doi uuid repo_url tags languages
    datasets source.url source.doi source.uuid source.repo_url source.huggingface.repository base_model.count
    base_model.N.name base_model.N.author base_model.N.version base_model.N.organization base_model.N.description
    base_model.N.url base_model.N.doi base_model.N.uuid base_model.N.repo_url dataset.count dataset.N.name
    dataset.N.author dataset.N.version dataset.N.organization dataset.N.description dataset.N.url dataset.N.doi
    dataset.N.uuid dataset.N.repo_url sampling.sequence sampling.top_k sampling.top_p sampling.min_p
    sampling.xtc_probability sampling.xtc_threshold sampling.temp sampling.penalty_last_n sampling.penalty_repeat
    sampling.mirostat sampling.mirostat_tau sampling.mirostat_eta tensor_extra.name tensor_extra.prec_a4
";

/// Behind the architecture's name.
const ARCHITECTURE: &str = "
    vocab_size context_length embedding_length embedding_length_out embedding_length_per_layer_input features_length
    block_count leading_dense_block_count feed_forward_length expert_feed_forward_length
    expert_shared_feed_forward_length expert_chunk_feed_forward_length swiglu_clamp_exp swiglu_clamp_shexp
    use_parallel_residual tensor_data_layout expert_count expert_used_count expert_shared_count expert_group_count
    expert_group_used_count expert_weights_scale expert_weights_norm expert_latent_length expert_gating_func
    expert_group_scale experts_per_group moe_every_n_layers moe_latent_size nextn_predict_layers n_deepstack_layers
    deepstack_mapping hidden_activation pooling_type logit_scale decoder_start_token_id decoder_block_count
    attn_logit_softcapping router_logit_softcapping final_logit_softcapping swin_norm rescale_every_n_layers
    time_mix_extra_dim time_decay_extra_dim residual_scale embedding_scale token_shift_count
    interleave_moe_layer_step full_attention_interval num_loops skip_loop_final_norm attention.head_count
    attention.head_count_kv attention.max_alibi_bias attention.clamp_kqv attention.key_length attention.value_length
    attention.layer_norm_epsilon attention.layer_norm_rms_epsilon attention.group_norm_epsilon
    attention.group_norm_groups attention.causal attention.q_lora_rank attention.kv_lora_rank
    attention.decay_lora_rank attention.iclr_lora_rank attention.value_residual_mix_lora_rank
    attention.gate_lora_rank attention.relative_buckets_count attention.sliding_window
    attention.sliding_window_pattern attention.rope_pattern attention.scale attention.output_scale
    attention.value_scale attention.temperature_length attention.temperature_scale attention.key_length_mla
    attention.value_length_mla attention.key_length_swa attention.value_length_swa attention.key_length_mla_swa
    attention.value_length_mla_swa attention.kv_lora_rank_swa attention.indexer.head_count
    attention.indexer.key_length attention.indexer.top_k attention.shared_kv_layers attention.recurrent_layers
    rope.dimension_count rope.dimension_count_swa rope.dimension_sections rope.freq_base rope.freq_base_swa
    rope.scale_linear rope.scaling.type rope.scaling.factor rope.scaling.alpha rope.scaling.attn_factor
    rope.scaling.original_context_length rope.scaling.finetuned rope.scaling.yarn_log_multiplier
    rope.scaling.yarn_ext_factor rope.scaling.yarn_attn_factor rope.scaling.yarn_beta_fast
    rope.scaling.yarn_beta_slow ssm.conv_kernel ssm.inner_size ssm.state_size ssm.time_step_rank ssm.group_count
    ssm.dt_b_c_rms kda.head_dim wkv.head_size posnet.embedding_length posnet.block_count convnext.embedding_length
    convnext.block_count classifier.output_labels classifier.pooling_type shortconv.l_cache dense_N_feat_in
    dense_N_feat_out
";

/// Behind `tokenizer.`.
const TOKENIZER: &str = "
    ggml.model ggml.pre ggml.tokens ggml.token_type ggml.token_type_count ggml.scores ggml.merges ggml.added_tokens
    ggml.bos_token_id ggml.eos_token_id ggml.eot_token_id ggml.eom_token_id ggml.unknown_token_id
    ggml.seperator_token_id ggml.separator_token_id ggml.padding_token_id ggml.cls_token_id ggml.mask_token_id
    ggml.add_bos_token ggml.add_eos_token ggml.add_sep_token ggml.add_space_prefix ggml.remove_extra_whitespaces
    ggml.precompiled_charsmap ggml.normalizer.lowercase ggml.normalizer.strip_accents ggml.fim_pre_token_id
    ggml.fim_suf_token_id ggml.fim_mid_token_id ggml.fim_pad_token_id ggml.fim_rep_token_id ggml.fim_sep_token_id
    ggml.prefix_token_id ggml.suffix_token_id ggml.middle_token_id ggml.suppress_tokens huggingface.json rwkv.world
    chat_template chat_templates
";

/// Of files that were split, and of quantization by importance.
const OTHERS: &str = "
    split.no split.count split.tensors.count quantize.imatrix.file quantize.imatrix.dataset
    quantize.imatrix.entries_count quantize.imatrix.chunks_count
";

/// Tensors, without `.weight` and `.bias`.
const TENSORS: &str = "
    token_embd token_embd_norm token_types position_embd output output_norm rope_freqs rope_factors_long
    rope_factors_short cls cls.output cls.norm per_layer_token_embd per_layer_model_proj per_layer_proj_norm
    altup_unembd_proj altup_proj dense_N convND enc.output_norm dec.output_norm
";

/// Tensors behind `blk.N.`, likewise.
const TENSORS_OF_LAYERS: &str = "
    attn_norm attn_norm_2 attn_q attn_k attn_v attn_qkv attn_output attn_rot_embd attn_gate attn_q_norm attn_k_norm
    attn_sub_norm attn_output_norm attn_sinks attn_q_a attn_q_b attn_kv attn_kv_a_mqa attn_kv_b attn_k_b attn_v_b
    attn_q_a_norm attn_kv_a_norm post_attention_norm post_ffw_norm post_ffw_norm_1 post_ffw_norm_2 pre_ffw_norm_2
    ffn_norm ffn_gate ffn_down ffn_up ffn_gate.N ffn_down.N ffn_up.N ffn_gate_inp ffn_gate_inp_shexp ffn_gate_exps
    ffn_gate_up_exps ffn_down_exps ffn_up_exps ffn_gate_shexp ffn_up_shexp ffn_down_shexp ffn_gate_chexps
    ffn_down_chexps ffn_up_chexps ffn_norm_exps ffn_sub_norm ffn.act exp_probs_b layer_output_norm
    layer_output_scale inp_gate proj post_norm altup_correct_coef altup_correct_scale altup_predict_coef
    altup_router altup_router_norm laurel_l laurel_r laurel_post_norm ssm_a ssm_b_norm ssm_c_norm ssm_d ssm_dt
    ssm_dt_norm ssm_in ssm_x ssm_ba ssm_alpha ssm_beta ssm_conv1d ssm_norm ssm_out ssm_conv1d_q ssm_conv1d_k
    ssm_conv1d_v ssm_f_a ssm_f_b ssm_g_a ssm_g_b time_mix_w0 time_mix_w1 time_mix_w2 time_mix_a0 time_mix_a1
    time_mix_a2 time_mix_v0 time_mix_v1 time_mix_v2 time_mix_g1 time_mix_g2 time_mix_k_k time_mix_k_a time_mix_r_k
    time_mix_lerp_x time_mix_lerp_w time_mix_lerp_k time_mix_lerp_v time_mix_lerp_r time_mix_lerp_g
    time_mix_lerp_fused time_mix_first time_mix_decay time_mix_decay_w1 time_mix_decay_w2 time_mix_key
    time_mix_value time_mix_receptance time_mix_gate time_mix_ln time_mix_output channel_mix_lerp_k
    channel_mix_lerp_r channel_mix_key channel_mix_value channel_mix_receptance shortconv.conv shortconv.in_proj
    shortconv.out_proj nextn.eh_proj nextn.embed_tokens nextn.enorm nextn.hnorm nextn.shared_head_head
    nextn.shared_head_norm indexer.k_norm indexer.proj indexer.attn_k indexer.attn_q_b
";

fn lists(list: &str, name: &str) -> bool {
    list.split_whitespace().any(|known| known == name)
}

/// Digits that stand for a number of something, each run as `N`.
fn numbered(name: &str) -> String {
    let parts = name.split('.').map(|part| {
        let number = !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        if number { "N".to_owned() } else { part.replace("dense_2", "dense_N").replace("dense_3", "dense_N") }
    });
    parts.collect::<Vec<_>>().join(".")
}

/// Whether the format knows a metadata key.
pub(super) fn metadata(key: &str, architecture: &str) -> bool {
    let key = numbered(key);
    let behind = |prefix: &str| key.strip_prefix(prefix).and_then(|rest| rest.strip_prefix('.'));
    behind("general").is_some_and(|rest| lists(GENERAL, rest))
        || behind("tokenizer")
            .is_some_and(|rest| lists(TOKENIZER, rest) || rest.starts_with("chat_template."))
        || behind(architecture).is_some_and(|rest| lists(ARCHITECTURE, rest))
        || lists(OTHERS, &key)
}

/// Whether llama.cpp has tensors of such a name; `layers` is how many the metadata states.
pub(super) fn tensor(name: &str, layers: Option<u64>) -> bool {
    let stem = name.strip_suffix(".weight").or_else(|| name.strip_suffix(".bias")).unwrap_or(name);
    let stem = stem.strip_suffix(".scale").or_else(|| stem.strip_suffix(".input_scale")).unwrap_or(stem);
    // Encoders and decoders of one file have layers of the same parts.
    let layer = ["blk.", "enc.blk.", "dec.blk."].iter().find_map(|prefix| stem.strip_prefix(prefix));
    let Some((number, part)) = layer.and_then(|rest| rest.split_once('.')) else {
        return lists(TENSORS, &numbered(stem).replace("conv1d", "convND"));
    };
    let within = number.parse::<u64>().is_ok_and(|number| layers.is_none_or(|layers| number < layers));
    let of_decoder = matches!(part, "attn_o" | "attn_rel_b") || part.starts_with("cross_attn_");
    within && (lists(TENSORS_OF_LAYERS, &numbered(part)) || of_decoder && !stem.starts_with("blk."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for key in [
            "general.base_model.0.name",
            "qwen2.rope.freq_base",
            "tokenizer.chat_template.tool_use",
            "gemma-embedding.dense_2_feat_in",
        ] {
            let architecture = key.split('.').next().unwrap_or_default();
            assert!(metadata(key, architecture), "{key}");
        }
        assert!(!metadata("llama.rope.freq_base", "qwen2"));
        assert!(!metadata("general.payload", "qwen2"));
        for name in
            ["token_embd.weight", "blk.3.attn_q.bias", "blk.3.ffn_up.7.weight", "dec.blk.0.attn_o.weight"]
        {
            assert!(tensor(name, Some(4)), "{name}");
        }
        for name in ["blk.4.attn_q.weight", "blk.x.attn_q.weight", "payload", "blk.0.attn_o.weight", "blk.0."]
        {
            assert!(!tensor(name, Some(4)), "{name}");
        }
    }
}
