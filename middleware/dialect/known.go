package dialect

import "strings"

// sampling are the members that most servers know on all paths that generate text.
const sampling = ` model stream stream_options user seed stop temperature top_p top_k min_p typical_p
	frequency_penalty presence_penalty repetition_penalty repeat_penalty logit_bias ignore_eos min_tokens
	n n_cmpl best_of max_tokens max_completion_tokens n_predict logprobs top_logprobs prompt_logprobs n_probs
	response_format structured_outputs guided_json guided_regex guided_choice guided_grammar guided_decoding_backend
	guided_whitespace_pattern regex ebnf json_schema grammar stop_token_ids stop_regex bad_words allowed_token_ids
	include_stop_str_in_output skip_special_tokens spaces_between_special_tokens add_special_tokens no_stop_trim
	truncate_prompt_tokens truncation_side length_penalty early_stopping use_beam_search beam_width priority cache_salt request_id
	rid lora lora_path lora_request return_token_ids return_tokens_as_token_ids kv_transfer_params vllm_xargs
	custom_params custom_logit_processor return_hidden_states thinking_token_budget metadata store service_tier
	safety_identifier prompt_cache_key prompt_cache_retention extra_body `

// llamaServer are those of llama-server alone.
const llamaServer = ` cache_prompt id_slot n_keep n_discard n_indent n_cache_reuse t_max_predict_ms t_max_prompt_ms
	timings_per_token return_tokens return_progress response_fields samplers top_n_sigma xtc_probability
	xtc_threshold dynatemp_range dynatemp_exponent repeat_last_n dry_multiplier dry_base dry_allowed_length
	dry_penalty_last_n dry_sequence_breakers mirostat mirostat_tau mirostat_eta adaptive_target adaptive_decay
	min_keep backend_sampling post_sampling_probs grammar_lazy grammar_triggers preserved_tokens verbose
	sse_ping_interval chat_format reasoning_format thinking_forced_open penalize_nl `

// chatMembers are those of chat completions.
const chatMembers = ` messages tools tool_choice parallel_tool_calls functions function_call modalities audio
	prediction reasoning_effort reasoning verbosity web_search_options echo add_generation_prompt
	continue_final_message chat_template_kwargs documents include_reasoning separate_reasoning
	stream_reasoning enable_thinking thinking reasoning_budget parse_tool_calls tool_prompt format keep_alive options
	think `

// transcriptFields are those of the forms of sound.
const transcriptFields = ` file model prompt response_format temperature stream stream_include_usage
	stream_continuous_usage_stats n seed top_p top_k min_p frequency_penalty presence_penalty repetition_penalty
	max_completion_tokens vllm_xargs hotwords use_beam_search length_penalty vad_filter `

// pooling are those of the operations that score texts.
const pooling = ` model user use_activation truncate_prompt_tokens truncation_side add_special_tokens priority cache_salt
	request_id rid lora_path `

// knownText has the members that the servers of each operation know, beside those of
// workMembers. A path that several servers share has those of all.
var knownText = map[*Spec]string{
	&chatSpec:        sampling + llamaServer + chatMembers,
	&completionsSpec: sampling + llamaServer + ` prompt suffix echo prompt_embeds prompt_ignore_length `,
	&embeddingsSpec: ` model input encoding_format dimensions user truncate_prompt_tokens truncation_side messages
		add_special_tokens add_generation_prompt continue_final_message chat_template_kwargs normalize priority
		cache_salt request_id rid lora_path embd_normalize keep_alive options truncate input_type task `,
	&rerankSpec: ` model query documents top_n return_documents max_chunks_per_doc max_tokens_per_doc rank_fields
		truncate_prompt_tokens truncation_side priority request_id rid user texts truncate raw_scores return_text
		return_tensors instruct `,
	&scoreSpec: pooling + ` query queries documents items text_1 text_2 data_1 data_2 label_token_ids apply_softmax
		item_first activation instruction `,
	&poolingSpec: pooling + ` input messages prompt data text dimensions encoding_format embed_dtype endianness
		normalize add_generation_prompt continue_final_message task chat_template_kwargs activation softmax `,
	&classifySpec:    pooling + ` input messages text add_generation_prompt chat_template_kwargs activation `,
	&moderationsSpec: ` model input user `,
	&tokenizeSpec: ` model prompt messages content inputs input text add_special add_special_tokens parse_special
		with_pieces return_token_strs add_generation_prompt continue_final_message chat_template_kwargs tools `,
	&detokenizeSpec: ` model tokens ids skip_special_tokens `,
	&speechSpec: ` model input voice response_format speed instructions stream_format stream language seed temperature
		top_p top_k repetition_penalty max_new_tokens task_type ref_audio ref_text lang_code volume_multiplier user `,
	&transcriptionsSpec: transcriptFields + ` language timestamp_granularities diarization_config chunking_strategy
		include known_speaker_names known_speaker_references `,
	&translationsSpec: transcriptFields + ` to_language `,
	&imagesSpec: ` model prompt n size quality style response_format user background moderation output_compression
		output_format partial_images stream seed negative_prompt num_inference_steps steps guidance_scale strength `,
	&responsesSpec: sampling + llamaServer + ` input instructions max_output_tokens background previous_response_id
		conversation prompt include text reasoning tools tool_choice parallel_tool_calls max_tool_calls truncation
		previous_input_messages enable_response_messages verbosity chat_template_kwargs context_management `,
	&messagesSpec:    messagesMembers,
	&countTokensSpec: messagesMembers,
	&ollamaGenerateSpec: ` model prompt suffix system context stream raw format images options keep_alive think
		logprobs top_logprobs truncate shift `,
	&ollamaChatSpec:  ` model messages tools stream format options keep_alive think logprobs top_logprobs truncate shift `,
	&ollamaEmbedSpec: ` model input truncate options keep_alive dimensions `,
	&llamaCppSpec:    sampling + llamaServer + ` prompt input_prefix input_suffix input_extra multimodal_data `,
	&tgiSpec:         ` inputs parameters stream model `,
	&tgiStreamSpec:   ` inputs parameters stream model `,
	&sglangSpec: ` text input_ids input_embeds image_data audio_data video_data sampling_params rid return_logprob
		logprob_start_len top_logprobs_num token_ids_logprob return_text_in_logprobs stream modalities lora_path
		lora_id custom_logit_processor return_hidden_states background priority extra_key return_routed_experts
		bootstrap_host bootstrap_port bootstrap_room data_parallel_rank model log_metrics no_logs `,
	&inferSpec:   ` prompt system_prompt messages model max_tokens temperature top_p stop seed response_format tools tool_choice stream `,
	&executeSpec: aixplainMembers,
	&startSpec:   aixplainMembers,
}

const messagesMembers = sampling + llamaServer + ` messages system stop_sequences tools tool_choice thinking output_config
	context_management mcp_servers container inference_geo output_format speed chat_template_kwargs cache_control `

const aixplainMembers = ` text data context prompt history options max_tokens temperature top_p stop seed response_format
	tools tool_choice stream model language sourcelanguage targetlanguage script `

// knownMembers are the sets of knownText.
var knownMembers = func() map[*Spec]map[string]bool {
	sets := map[*Spec]map[string]bool{}
	for spec, text := range knownText {
		set := map[string]bool{}
		for name := range strings.FieldsSeq(text) {
			set[name] = true
		}
		sets[spec] = set
	}
	return sets
}()

// knows says that one of the servers of the operation knows a member. Servers that
// share a path are told apart only once the body is read.
func (s *Spec) knows(name string) bool {
	if knownMembers[s][name] {
		return true
	}
	twin := s.request.twin
	return twin != nil && knownMembers[twin][name]
}
