// Package redisstore is a limiter that keeps its counters in Redis or Valkey, so that
// several gateways hold callers to the same limits together, as exactly as one gateway
// alone:
//
//	store, err := redisstore.Open(ctx, redisstore.Server{Addresses: []string{"10.0.0.5:6379"}},
//		redisstore.WithZone(berlin))
//	if err != nil {
//		return err // names what the server lacks, never a password
//	}
//	defer store.Close()
//	decision, err := store.Reserve(ctx, request) // as with limiter.Memory
//
// # What to know
//
// An admission is one script call for all rules of a call: one round trip. A settlement
// returns at once and is sent in the background, with others in one pipeline. The next
// admission of the same key takes those along that the server has not confirmed yet, so
// that a caller who waits for the end of one call finds room for the next.
//
// The clock of the Redis server is the only one. Days begin at midnight in the zone of
// WithZone by that clock; all gateways must have the same zone.
//
// A call in flight is a lease: a gateway that dies leaves its calls in flight until a
// minute after their Timeout, or after DefaultLease where they have none. What they have
// reserved stays charged.
//
// Each call has an id. An admission whose reply was lost is sent again under that id, and
// acts once; the same holds for settlements. An admission that arrives late, for example
// because the server was paused, does nothing.
//
// While Redis is away, calls are refused with ErrUnavailable, or admitted without being
// counted, as WithOnError says. A caller never waits longer than WithTimeout for it.
//
// No name of a key, an owner or a model is in Redis, only their digests. All keys of an
// owner have the same hash tag, and so are on the same node of a Redis Cluster.
//
// The answers are those of limiter.Memory, with one exception: there a reservation that
// has lapsed cannot be settled; here Settle does not tell, as it does not wait.
package redisstore
