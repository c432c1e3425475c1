// Package middleware is an API-key gate for servers of language models. It stands in
// front of any http.Handler that serves models, identifies callers by their API key,
// enforces exact limits, sets credit aside before a call runs, and charges each call
// exactly once for what it used. It is plain net/http.
//
//	accounts, err := ledger.Open(ctx, store)
//	gate := middleware.New(accounts, limiter.New(),
//		middleware.WithMetered("/shout", ledger.Quantity{OutputTokens: 1000})) // a path of your own
//	http.ListenAndServe(":8080", gate(handler))
//
// The handler can be a reverse proxy in front of inference servers: the paths of their
// APIs, such as /v1/chat/completions, need no option. All others answer 404 until
// [WithMetered], [WithFixedCost] or [WithAllowUnmetered] names them. In a router that
// leaves a prefix in the path, set [WithPathPrefix].
//
// # The life of a call
//
// A call walks one way, from step to step, and each step is in the file of its
// name. The exchange holds what they find in one piece of memory; no step changes
// what an earlier one has found.
//
//	caller      whose key is it, and may it be used for this?
//	request     what does it ask for: which model, and how many tokens at most?
//	admission   all limits and the credit at once, or a refusal that changes nothing
//	run, watch  the next handler, under a time limit
//	reply       the answer is measured as it passes; its end is kept back
//	feedback    what handlers and policies report through the request's context
//	ending      how the call ended and what it costs, by pure functions of the evidence
//	settle      the charge, once, and durable
//	answer      the end of the reply, or what went wrong
//
// # How a call ends
//
//	ending                            tokens counted          charged
//	refused before it ran             none                    nothing
//	no upstream, or 5xx at once       none                    nothing
//	refused by the upstream, 4xx      none                    nothing
//	complete, usage reported          as reported             by price
//	complete, usage not reported      counted, or estimated   by price
//	the client left                   produced until then     for that
//	the upstream died midway          produced until then     for that
//	the time limit was reached        produced until then     for that, if anything
//	the credit ran out midway         produced until then     up to the hold
//	a stream ran past its cap         up to the cap           for that
//	the key was revoked midway        produced until then     for that
//
// What an upstream reports is charged up to what the call can have used: a token for
// each byte of its body, its cap, the time that the gate saw. A trusted upstream is
// believed beyond that. What neither hold, balance nor budget covers is written off.
//
// # Handlers of your own
//
// The gate meters the paths of the OpenAI, Anthropic, Ollama, llama.cpp, TGI, SGLang,
// Aquin and aiXplain APIs. The handler of a path that [WithMetered] names reports what it
// used with [ReportUsage].
//
// [CallFrom] gives a handler or a selection policy the call that it serves. They should
// report with [NoteUpstream] where the call went, and with [ReportFailure] why there is
// no answer.
//
// # Caveats
//
//   - The request's body is read whole before the call is admitted, up to
//     [WithMaxBody]. [Call].Prompt and the body end with the handler: their memory
//     then serves other calls.
//   - The last bytes of an answer wait until its charge is durable.
//   - Connections behind the gate cannot be hijacked. Redirects of an upstream, and its
//     errors about the gateway's own credentials, are not passed on.
//   - Without [WithModels] or [WithCatalog] callers may name any model, and the
//     ledger's default price is what it costs.
//   - Lists of models, polls and unmetered paths cost nothing and are not reported
//     to an [Observer].
package middleware
