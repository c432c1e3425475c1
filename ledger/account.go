package ledger

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/penstockhq/penstock/internal/clip"
)

// Account is a snapshot of a customer's account. Available, Held and Spent are
// never negative, and their sum is what was ever put in.
type Account struct {
	ID        string
	Name      string
	Available Micro // free for new holds
	Held      Micro // set aside for running calls
	Spent     Micro
	CreatedAt time.Time
}

// TopUp is the result of Ledger.TopUp and Ledger.Adjust.
type TopUp struct {
	Sequence int64 // of the entry that holds the top-up
	// Replayed is set if the idempotency key was used before for the same top-up:
	// nothing was added now.
	Replayed bool
	Account  Account // as it is now
}

const (
	maxAccountID      = 128
	maxName           = 256
	maxIdempotencyKey = 255
)

// CreateAccount makes an account with no credit and returns when it is durable.
// ErrExists: there is one with this id.
func (l *Ledger) CreateAccount(ctx context.Context, id, name string) (Account, error) {
	if err := validText("id", id, 1, maxAccountID); err != nil {
		return Account{}, err
	}
	if err := validText("name", name, 0, maxName); err != nil {
		return Account{}, err
	}
	err := l.write(ctx, func() ([]*Entry, error) {
		if _, ok := l.core.owners[id]; ok {
			return nil, fmt.Errorf("account %q: %w", id, ErrExists)
		}
		return []*Entry{accountEntry(id, name)}, nil
	})
	if err != nil {
		return Account{}, err
	}
	account, _ := l.Account(id)
	return account, nil
}

func accountEntry(id, name string) *Entry {
	detail, _ := json.Marshal(accountDetail{Name: name}) // one text
	return &Entry{Kind: KindAccount, Account: id, Detail: detail}
}

// TopUp adds credit to an account and returns when it is durable. The idempotency
// key is required: the same key with the same account and amount adds nothing
// again and says so, forever; with another account or amount it is an
// ErrIdempotencyReused. ErrNotFound: there is no such account.
func (l *Ledger) TopUp(ctx context.Context, account string, amount Micro, idempotencyKey string) (TopUp, error) {
	if amount <= 0 || amount > MaxMicro {
		return TopUp{}, &InvalidError{Field: "amount", Reason: fmt.Sprintf("%s credits is not between 0.000001 and %s", amount, MaxMicro)}
	}
	return l.deposit(ctx, KindTopUp, account, amount, idempotencyKey)
}

// Adjust corrects an account up or down. It never takes credit that is held for
// running calls. The rest is as for TopUp.
func (l *Ledger) Adjust(ctx context.Context, account string, amount Micro, idempotencyKey string) (TopUp, error) {
	if amount == 0 || amount < -MaxMicro || amount > MaxMicro {
		return TopUp{}, &InvalidError{Field: "amount", Reason: "must not be zero nor exceed the largest amount"}
	}
	return l.deposit(ctx, KindAdjust, account, amount, idempotencyKey)
}

func (l *Ledger) deposit(ctx context.Context, kind Kind, id string, amount Micro, idempotencyKey string) (TopUp, error) {
	if err := validText("idempotency_key", idempotencyKey, 1, maxIdempotencyKey); err != nil {
		return TopUp{}, err
	}
	var result TopUp
	err := l.write(ctx, func() ([]*Entry, error) {
		index, ok := l.core.owners[id]
		if !ok {
			return nil, fmt.Errorf("account %q: %w", clip.Text(id), ErrNotFound)
		}
		if number, used := l.core.depositOf[referenceMark(idempotencyKey)]; used {
			before := l.core.deposits[number]
			if before.account != index || before.amount != amount {
				return nil, ErrIdempotencyReused
			}
			result = TopUp{Sequence: before.sequence, Replayed: true}
			return nil, nil
		}
		a := &l.core.accounts[index]
		if a.deposited > MaxMicro-amount {
			return nil, &InvalidError{Field: "amount", Reason: fmt.Sprintf("the account would exceed %s credits", MaxMicro)}
		}
		if a.available()+amount < 0 {
			return nil, &InvalidError{Field: "amount", Reason: fmt.Sprintf("only %s credits are available", a.available())}
		}
		result = TopUp{Sequence: l.core.sequence + 1}
		return []*Entry{{Kind: kind, Account: id, Reference: idempotencyKey, Amount: amount, Balance: a.funds() + amount}}, nil
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
	return Account{ID: a.id, Name: a.name, Available: a.available(), Held: a.held, Spent: a.spent, CreatedAt: moment(a.created)}
}

// ListAccounts returns at most limit accounts (at most 1000, by default 100) in the
// order of their making, after the account with the id after. next is what after
// must be for the next page, empty at the end.
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

// pageSize bounds what a caller asks for.
func pageSize(limit int) int {
	const usual, most = 100, 1000
	if limit <= 0 {
		return usual
	}
	return min(limit, most)
}

// validText checks a text from outside: its length in bytes, and that it prints.
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

// referenceMark is how a used idempotency key is remembered: 16 bytes whatever its
// length.
func referenceMark(reference string) [16]byte {
	sum := sha256.Sum256([]byte(reference))
	return [16]byte(sum[:16])
}
