package ledger

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/penstockhq/penstock/internal/clip"
)

// Account is a snapshot of a customer's account. Available, Held and Spent are never
// negative, and their sum is all credit that was ever added.
type Account struct {
	ID        string
	Name      string
	Frozen    bool  // no key of the account runs a call
	Available Micro // free for new holds
	Held      Micro // set aside for running calls
	Spent     Micro
	CreatedAt time.Time
}

// TopUp is the result of Ledger.TopUp and Ledger.Adjust.
type TopUp struct {
	Sequence int64 // of the entry that records it
	// Replayed is set if the idempotency key was used before for the same top-up:
	// nothing was added now.
	Replayed bool
	Account  Account // as it is now
}

const (
	maxAccountID      = 128
	maxName           = 256
	maxIdempotencyKey = 255
	maxReason         = 256
)

// NewAccount is what an account is made from. All but ID have a default.
type NewAccount struct {
	ID   string
	Name string
	// Idempotency makes the same request give the same account.
	Idempotency Idempotency
}

// CreateAccount makes an account with no credit and returns when it is durable.
// ErrExists: there is one with this id. A request that was made before gives its
// account as it is now.
func (l *Ledger) CreateAccount(ctx context.Context, request NewAccount) (Account, error) {
	for _, check := range []error{
		validText("id", request.ID, 1, maxAccountID),
		validText("name", request.Name, 0, maxName),
		request.Idempotency.validate(),
	} {
		if check != nil {
			return Account{}, check
		}
	}
	err := l.write(ctx, func() ([]*Entry, error) {
		if _, again, err := l.core.earlier(&request.Idempotency); again || err != nil {
			return nil, err
		}
		if _, ok := l.core.owners[request.ID]; ok {
			return nil, fmt.Errorf("account %q: %w", request.ID, ErrExists)
		}
		detail := accountDetail{Name: request.Name, Request: request.Idempotency.record()}
		return []*Entry{accountEntry(request.ID, "created", detail)}, nil
	})
	if err != nil {
		return Account{}, err
	}
	account, _ := l.Account(request.ID)
	return account, nil
}

func accountEntry(id, what string, detail accountDetail) *Entry {
	encoded, _ := json.Marshal(detail) // texts and a flag: nothing to fail
	return &Entry{Kind: KindAccount, Account: id, Reference: what, Detail: encoded}
}

// AccountPatch is a change of an account. Nil fields stay as they are.
type AccountPatch struct {
	Name *string
	// Frozen keeps every key of the account from running calls. Those that run go on.
	Frozen *bool
	Reason string // why, for the log; may be empty
}

// UpdateAccount changes an account and returns when that is durable. ErrNotFound: there
// is no such account.
func (l *Ledger) UpdateAccount(ctx context.Context, id string, patch AccountPatch) (Account, error) {
	if err := validText("reason", patch.Reason, 0, maxReason); err != nil {
		return Account{}, err
	}
	if patch.Name != nil {
		if err := validText("name", *patch.Name, 0, maxName); err != nil {
			return Account{}, err
		}
	}
	err := l.write(ctx, func() ([]*Entry, error) {
		index, ok := l.core.owners[id]
		if !ok {
			return nil, fmt.Errorf("account %q: %w", clip.Text(id), ErrNotFound)
		}
		a := &l.core.accounts[index]
		detail := accountDetail{Name: a.name, Frozen: a.frozen, Reason: patch.Reason}
		set(&detail.Name, patch.Name)
		set(&detail.Frozen, patch.Frozen)
		what := "renamed"
		if detail.Frozen != a.frozen {
			what = map[bool]string{true: "frozen", false: "unfrozen"}[detail.Frozen]
		} else if detail.Name == a.name {
			return nil, nil
		}
		e := accountEntry(id, what, detail)
		e.Balance = a.funds()
		return []*Entry{e}, nil
	})
	if err != nil {
		return Account{}, err
	}
	account, _ := l.Account(id)
	return account, nil
}

// TopUp adds credit to an account and returns when it is durable. The idempotency
// key is required: the same key with the same account and amount adds nothing
// again and says so, forever; with another account or amount it is an
// ErrIdempotencyReused. ErrNotFound: there is no such account.
func (l *Ledger) TopUp(ctx context.Context, account string, amount Micro, idempotencyKey string) (TopUp, error) {
	if amount <= 0 || amount > MaxMicro {
		return TopUp{}, &InvalidError{Field: "amount", Reason: fmt.Sprintf("%s credits is not between 0.000001 and %s", amount, MaxMicro)}
	}
	return l.deposit(ctx, Entry{Kind: KindTopUp, Account: account, Amount: amount, Reference: idempotencyKey},
		func(index uint32) (int64, bool, error) {
			number, used := l.core.depositOf[referenceMark(idempotencyKey)]
			if !used {
				return 0, false, nil
			}
			before := l.core.deposits[number]
			if before.account != index || before.amount != amount {
				return 0, false, ErrIdempotencyReused
			}
			return before.sequence, true, nil
		})
}

// Adjustment is a correction of an account.
type Adjustment struct {
	Amount         Micro  // below zero: taken away
	Reason         string // goes into the entry
	IdempotencyKey string // required, and of no account with those of top-ups
}

// Adjust corrects an account up or down, for example to take back a top-up. It never
// takes credit that is held for running calls, so that no balance becomes negative.
// The same idempotency key with the same account, amount and reason changes nothing
// again; with another one it is an ErrIdempotencyReused. It returns when the
// adjustment is durable.
func (l *Ledger) Adjust(ctx context.Context, account string, adjustment Adjustment) (TopUp, error) {
	amount := adjustment.Amount
	if amount == 0 || amount < -MaxMicro || amount > MaxMicro {
		return TopUp{}, &InvalidError{Field: "amount", Reason: "must not be zero nor exceed the largest amount"}
	}
	if err := validText("reason", adjustment.Reason, 1, maxReason); err != nil {
		return TopUp{}, err
	}
	asked := fmt.Sprintf("%q %d %q", account, amount, adjustment.Reason)
	idempotency := Idempotency{Key: adjustment.IdempotencyKey, Scope: "adjust", Request: sha256.Sum256([]byte(asked))}
	// Two texts and two hashes: nothing to fail.
	detail, _ := json.Marshal(depositDetail{Reason: adjustment.Reason, Request: idempotency.record()})
	return l.deposit(ctx, Entry{Kind: KindAdjust, Account: account, Amount: amount, Reference: adjustment.IdempotencyKey, Detail: detail},
		func(uint32) (int64, bool, error) {
			before, again, err := l.core.earlier(&idempotency)
			return before.sequence, again, err
		})
}

// deposit appends an entry that changes what an account was given, unless earlier finds
// that one for the same request, whose sequence number it returns.
func (l *Ledger) deposit(ctx context.Context, e Entry, earlier func(account uint32) (int64, bool, error)) (TopUp, error) {
	if err := validText("idempotency_key", e.Reference, 1, maxIdempotencyKey); err != nil {
		return TopUp{}, err
	}
	id := e.Account
	var result TopUp
	err := l.write(ctx, func() ([]*Entry, error) {
		index, ok := l.core.owners[id]
		if !ok {
			return nil, fmt.Errorf("account %q: %w", clip.Text(id), ErrNotFound)
		}
		if sequence, again, err := earlier(index); again || err != nil {
			result = TopUp{Sequence: sequence, Replayed: true}
			return nil, err
		}
		a := &l.core.accounts[index]
		if a.deposited > MaxMicro-e.Amount {
			return nil, &InvalidError{Field: "amount", Reason: fmt.Sprintf("the account would exceed %s credits", MaxMicro)}
		}
		if a.available()+e.Amount < 0 {
			return nil, &InvalidError{Field: "amount", Reason: fmt.Sprintf("only %s credits are available", a.available())}
		}
		result = TopUp{Sequence: l.core.sequence + 1}
		e.Balance = a.funds() + e.Amount
		return []*Entry{&e}, nil
	})
	if err != nil {
		return TopUp{}, err
	}
	result.Account, _ = l.Account(id)
	return result, nil
}

// Account returns an account. ok is false if there is none with this id.
func (l *Ledger) Account(id string) (account Account, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	index, ok := l.core.owners[id]
	if !ok {
		return Account{}, false
	}
	return l.core.accounts[index].snapshot(), true
}

func (a *account) snapshot() Account {
	return Account{ID: a.id, Name: a.name, Frozen: a.frozen, Available: a.available(), Held: a.held, Spent: a.spent, CreatedAt: moment(a.created)}
}

// ListAccounts returns one page of accounts, oldest first: those that follow the account
// with the id after, or the first ones if after is empty. limit is the size of a page, at
// most 1000; 0 means 100. next is the value of after for the next page, empty at the end.
// ErrNotFound means that there is no account after.
func (l *Ledger) ListAccounts(after string, limit int) (accounts []Account, next string, err error) {
	limit = pageSize(limit)
	l.mu.Lock()
	defer l.mu.Unlock()
	from := 0
	if after != "" {
		index, ok := l.core.owners[after]
		if !ok {
			return nil, "", fmt.Errorf("account %q: %w", clip.Text(after), ErrNotFound)
		}
		from = int(index) + 1
	}
	for i := from; i < len(l.core.accounts); i++ {
		if len(accounts) == limit {
			return accounts, accounts[limit-1].ID, nil
		}
		accounts = append(accounts, l.core.accounts[i].snapshot())
	}
	return accounts, "", nil
}

// pageSize returns the number of items on a page for a limit that a caller gave.
func pageSize(limit int) int {
	const usual, most = 100, 1000
	if limit <= 0 {
		return usual
	}
	return min(limit, most)
}

// validText returns an *InvalidError unless a text has least to most bytes and consists
// of printable characters.
func validText(field, text string, least, most int) error {
	switch {
	case len(text) < least:
		return &InvalidError{Field: field, Reason: "is required"}
	case len(text) > most:
		return &InvalidError{Field: field, Reason: fmt.Sprintf("is longer than %d bytes", most)}
	case !utf8.ValidString(text):
		return &InvalidError{Field: field, Reason: "is not UTF-8"}
	}
	for _, r := range text {
		if !unicode.IsPrint(r) {
			return &InvalidError{Field: field, Reason: "contains characters that do not print"}
		}
	}
	return nil
}

// referenceMark returns what is kept in memory of a used idempotency key: 16 bytes of its
// hash, whatever its length.
func referenceMark(reference string) [16]byte {
	sum := sha256.Sum256([]byte(reference))
	return [16]byte(sum[:16])
}

// Idempotency makes a request take effect once, however often it is sent. The log
// keeps it, so that a restart forgets none. The zero value makes no promise.
type Idempotency struct {
	// Key is the text that the client chose for this request alone; empty: none.
	Key string
	// Scope tells apart who may use the same key for different things, such as a
	// caller and a route.
	Scope string
	// Request is a hash of what is asked for. The same key with another request is
	// an ErrIdempotencyReused.
	Request [sha256.Size]byte
}

func (i *Idempotency) validate() error {
	if i.Key == "" {
		return nil
	}
	return validText("idempotency_key", i.Key, 1, maxIdempotencyKey)
}

// mark is how the pair of scope and key is remembered. A scope is printable, and so is
// no separator.
func (i *Idempotency) mark() [16]byte { return referenceMark(i.Scope + "\x00" + i.Key) }

// record is what an entry tells of the request that it is the result of.
func (i *Idempotency) record() *requestRecord {
	if i.Key == "" {
		return nil
	}
	mark := i.mark()
	return &requestRecord{Mark: hex.EncodeToString(mark[:]), Request: hex.EncodeToString(i.Request[:16])}
}

// MadeKey returns the key that an earlier request with the same idempotency made or
// rotated, as it is now and once that is durable. ok is false if there was none. The
// same key with another request is an ErrIdempotencyReused.
func (l *Ledger) MadeKey(ctx context.Context, idempotency Idempotency) (key Key, ok bool, err error) {
	if idempotency.Key == "" {
		return key, false, nil // nothing to wait for the disk for
	}
	err = l.write(ctx, func() ([]*Entry, error) {
		before, found, err := l.core.earlier(&idempotency)
		if found {
			key, ok = l.core.keySnapshot(before.index), true
		}
		return nil, err
	})
	return key, ok && err == nil, err
}
