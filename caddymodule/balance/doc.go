// Package balance chooses the inference server that runs a call, among the servers that have the
// call's model and are available.
//
// It is a selection policy for Caddy's reverse_proxy:
//
//	penstock_proxy gpu1:8000 gpu2:8000 {
//	    lb_policy penstock {
//	        upstream gpu1:8000 weight 3 slots 16 models large
//	        upstream gpu2:8000 slots 8 kind vllm kv_tokens 400000
//	    }
//	}
//
// How it chooses is a [Strategy]. The default, prefix_work, gives each server a score and takes
// the lowest:
//
//	(P + u*(1 + n/8)) / w + 100*n
//
// P is the tokens of prompts that this gateway has under way at the server and that have got no
// answer yet, u the tokens of this prompt that the server does not have in its cache, n its calls
// in flight and w its weight, 1 for the largest. The unit is the time of one token. What a cache
// holds is a guess from what went there before.
//
// The choice itself knows nothing of Caddy. [Upstream] is what an operator says about one server,
// [State] what the gateway knows beyond one configuration; [New] prepares the choice among a
// list of servers; [Balancer.Choose] chooses, given a [Pool] that knows what is available at this
// moment, and counts the call until its [Lease] is released. Only caddy.go and caddyfile.go know
// Caddy: they read the configuration, show a proxy's upstreams as a Pool, and pass the lease to
// the gate, which knows when the answer begins and ends. Another strategy is a name in
// strategy.go and a case of Choose.
//
// An upstream that fails gets no calls for a while: [Cooling] says when the next call may find out
// how it is. The gate tells it how calls went, as a middleware.UpstreamObserver.
//
// # Caveats
//
//   - Weights belong to addresses. An upstream that is down changes nothing in the proportions of
//     the others. One with the weight 0 gets no new calls, whatever the strategy.
//   - Work, calls and slots are what this process knows of: calls that reach the server by another
//     way are not counted. When all slots of all upstreams are in use, calls go on to be shared, and
//     the servers queue them.
//   - Without the gate in front nothing is known of prompts, and only calls in flight count.
//   - With dynamic upstreams the choice is prepared anew for each call.
package balance
