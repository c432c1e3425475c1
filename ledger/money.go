package ledger

// Micro is an amount of micro-credits. 1 credit is one minute of compute and
// 1,000,000 micro-credits. Amounts are integers everywhere: no float ever holds
// money.
type Micro int64

const (
	// Credit is one credit in micro-credits.
	Credit Micro = 1_000_000
	// MaxMicro caps every balance, hold and price product. It is 2^53-1, the
	// largest integer that JavaScript and Lua numbers hold exactly.
	MaxMicro Micro = 1<<53 - 1
)
