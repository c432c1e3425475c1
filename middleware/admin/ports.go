package admin

import (
	"context"
	"time"

	"github.com/penstockhq/penstock/ledger"
	"github.com/penstockhq/penstock/limiter"
)

// Ledger is what the administration needs of a ledger; *ledger.Ledger implements it.
// Every method that writes returns when the write is durable. Implementations
// are safe for concurrent use.
type Ledger interface {
	Keys
	Accounts
	Records
	Keeper
}

// Limiter shows what is counted against a key's limits; *limiter.Memory implements it.
// Implementations are safe for concurrent use.
type Limiter interface {
	Inspect(ctx context.Context, request limiter.Request) (limiter.State, error)
}

// Keys makes, finds and changes keys.
type Keys interface {
	Authenticate(text string) (ledger.Key, error)
	KeyByText(text string) (ledger.Key, bool)
	Key(id string) (ledger.Key, bool)
	ListKeys(query ledger.KeyQuery) (keys []ledger.Key, next string, err error)
	CreateKey(ctx context.Context, request ledger.NewKey) (ledger.Key, ledger.Secret, error)
	UpdateKey(ctx context.Context, id string, version int64, patch ledger.KeyPatch) (ledger.Key, error)
	RotateKey(ctx context.Context, id string, rotation ledger.Rotation) (ledger.Key, ledger.Secret, error)
	ImportKey(ctx context.Context, request ledger.NewKey, hash [32]byte, hint string) (ledger.Key, error)
	MadeKey(ctx context.Context, idempotency ledger.Idempotency) (key ledger.Key, ok bool, err error)
	RevokeKey(ctx context.Context, id string) (ledger.Key, error)
}

// Accounts makes and changes accounts and what credit they have.
type Accounts interface {
	CreateAccount(ctx context.Context, request ledger.NewAccount) (ledger.Account, error)
	UpdateAccount(ctx context.Context, id string, patch ledger.AccountPatch) (ledger.Account, error)
	Account(id string) (account ledger.Account, ok bool)
	ListAccounts(after string, limit int) (accounts []ledger.Account, next string, err error)
	Adjust(ctx context.Context, account string, adjustment ledger.Adjustment) (ledger.TopUp, error)
	TopUp(ctx context.Context, account string, amount ledger.Micro, idempotencyKey string) (ledger.TopUp, error)
}

// Records reports what was used and what it cost.
type Records interface {
	Usage(ctx context.Context, query ledger.UsageQuery) ([]ledger.UsageRow, error)
	FindEntries(ctx context.Context, query ledger.EntryQuery) ([]ledger.Entry, error)
	Price(model string) ledger.Price
	// Quote returns what a hold would set aside, or the error that Hold would return.
	Quote(request ledger.HoldRequest) (ledger.Micro, error)
}

// Keeper looks after the ledger as a whole.
type Keeper interface {
	Ready() error
	Head(ctx context.Context) (ledger.Head, error)
	Prune(ctx context.Context, before time.Time) (through int64, err error)
	Rescue(ctx context.Context, file string) (complete bool, err error)
}
