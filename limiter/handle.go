package limiter

// Handle names a reservation. It is a plain value: it can be copied, kept and
// sent to another process, and it holds nothing secret. The zero Handle names
// no reservation.
type Handle struct {
	Scope  [2]uint64 // hashes of the key and of (key, model)
	ID     uint64
	Stamp  int64 // ms on the limiter's monotonic clock
	Day    int32 // civil day of the admission
	Tokens Tokens
}
