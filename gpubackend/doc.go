// Package gpubackend is an inference server: an http.Handler with the OpenAI
// routes and a plain /infer, over a scheduler that runs many requests at once on
// one engine. It needs nothing but this module: without a model file it serves
// the model that is embedded.
//
// Today the engine runs on the CPU only, whatever the name of the package says. The
// scheduler knows no device: WithEngine takes any engine.Runner, one for a GPU too.
//
// Routes:
//
//	POST /infer, /api/infer, /api/v1/model   {"prompt"|"messages", ...} -> {"text","tokens_in","tokens_out",...}
//	POST /v1/chat/completions                OpenAI's chat completion
//	POST /v1/completions                     OpenAI's text completion; prompts as texts or token ids
//	POST /v1/embeddings                      mean of the hidden states, scaled to length 1
//	POST /tokenize                           {"prompt"|"messages"} -> {"tokens","count","max_model_len"}
//	GET  /v1/models, /v1/models/{name}       what is served, and on which device
//	GET  /health                             200 while process and engine work
//	GET  /ready                              200 if a request sent now would be accepted
//	GET  /queue                              load as JSON
//	GET  /metrics                            load for Prometheus
//
// "stream": true makes the first three routes answer with server-sent events;
// "stream_options" takes include_usage and continuous_usage_stats. A stream that
// cannot be finished ends with an event named error and without [DONE].
//
// Generating routes take max_tokens (or max_completion_tokens), temperature,
// top_p, top_k, min_p, seed, stop, n, repeat_penalty (or repetition_penalty),
// repeat_last_n (0: none, -1: all), frequency_penalty, presence_penalty,
// logit_bias, logprobs (not /infer), ignore_eos and cache_salt. The temperature
// is 0.7 if none is given; max_tokens is 512, on /v1/completions 16. What exceeds
// the context is lowered; "warnings" and X-Backend-Max-Tokens say so. Other bad
// values are refused with 400.
//
// Headers of a reply, in ms:
//
//	X-Inference-Ms    the call's share of the engine's busy time; a trailer of streams
//	X-Queue-Ms        how long it waited for a slot
//	X-Backend-Device  what computed it
//
// The time of each step is divided among its requests by the number of tokens that it
// computed for them. The X-Inference-Ms of all calls therefore add up to the engine's
// busy time: nobody is charged for time in which the device did not work.
//
// Errors are {"error":{"type","code","message"}} on all routes, with "param" where
// one member is to blame, and "retry_after_ms", Retry-After and Retry-After-Ms
// where the same request can succeed later.
package gpubackend
