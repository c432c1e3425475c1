// Package balance chooses the inference server that runs a call: at random, in proportion to
// weights, among the servers that have the call's model and are available.
//
// It is a selection policy for Caddy's reverse_proxy:
//
//	penstock_proxy gpu1:8000 gpu2:8000 {
//	    lb_policy penstock {
//	        upstream gpu1:8000 weight 3 slots 16 models large
//	        upstream gpu2:8000 slots 8 kind vllm
//	    }
//	}
//
// The choice itself knows nothing of Caddy. [Upstream] is what an operator says about one server;
// [NewWeighted] prepares the choice among a list of them; [Weighted.Pick] chooses, given a [Pool]
// that knows what is available at this moment. Only caddy.go and caddyfile.go know Caddy: they
// read the configuration, show a proxy's upstreams as a Pool, and tell the gate which upstream was chosen.
// Another policy is another type beside Weighted, and its options in that file.
//
// An upstream that fails gets no calls for a while: [Cooling] says when the next call may find out
// how it is. The gate tells it how calls went, as a middleware.UpstreamObserver.
//
// # Caveats
//
//   - Weights belong to addresses. An upstream that is down changes nothing in the proportions of
//     the others.
//   - Slots are what this process knows of: calls that reach the server by another way are not
//     counted. When all slots of all upstreams are in use, calls go on to be shared by weight, and
//     the servers queue them.
//   - With dynamic upstreams the choice is prepared anew for each call.
package balance
