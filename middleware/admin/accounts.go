package admin

import (
	"errors"
	"net/http"

	"github.com/penstockhq/penstock/ledger"
	"github.com/penstockhq/penstock/middleware/admin/internal/rest"
	"github.com/penstockhq/penstock/middleware/admin/internal/rules"
)

// accountView is an account on the wire.
type accountView struct {
	ID             string       `json:"id"`
	Name           string       `json:"name"`
	Frozen         bool         `json:"frozen"`
	Available      string       `json:"available"`
	AvailableMicro ledger.Micro `json:"available_micro"`
	Held           string       `json:"held"`
	HeldMicro      ledger.Micro `json:"held_micro"`
	Spent          string       `json:"spent"`
	SpentMicro     ledger.Micro `json:"spent_micro"`
	CreatedAt      *string      `json:"created_at"`
}

// accountPage is a page of accounts. Next is the value of after for the page that
// follows.
type accountPage struct {
	Accounts []accountView `json:"accounts"`
	Next     string        `json:"next,omitempty"`
}

// topUpView is the reply to a top-up or an adjustment. Replayed is true if the same one
// was made before, so that nothing was added or taken away now.
type topUpView struct {
	Sequence    int64        `json:"seq"`
	Replayed    bool         `json:"replayed"`
	Amount      string       `json:"amount"`
	AmountMicro ledger.Micro `json:"amount_micro"`
	Account     accountView  `json:"account"`
}

func viewAccount(account *ledger.Account) accountView {
	return accountView{
		ID: account.ID, Name: account.Name, Frozen: account.Frozen,
		Available: account.Available.String(), AvailableMicro: account.Available,
		Held: account.Held.String(), HeldMicro: account.Held,
		Spent: account.Spent.String(), SpentMicro: account.Spent,
		CreatedAt: rest.FormatMoment(account.CreatedAt),
	}
}

func (h *Handler) createAccount(c *rest.Call) error {
	f, err := c.Fields()
	if err != nil {
		return err
	}
	id, name := f.Text("id", rules.MaxName), f.Text("name", rules.MaxName)
	f.Done()
	if err := f.Err(); err != nil {
		return err
	}
	account, err := h.ledger.CreateAccount(c.Context(), ledger.NewAccount{ID: id, Name: name, Idempotency: c.Idempotency()})
	if err != nil {
		return err
	}
	c.Audit("account created", id)
	c.JSON(http.StatusCreated, viewAccount(&account))
	return nil
}

func (h *Handler) listAccounts(c *rest.Call) error {
	q, err := c.Query()
	if err != nil {
		return err
	}
	after, limit := q.Text("after"), int(q.Integer("limit", 100, 1, rest.MaxPage))
	if err := q.Done(); err != nil {
		return err
	}
	page := accountPage{Accounts: []accountView{}}
	if !c.Caller.AllOwners {
		if account, ok := h.ledger.Account(c.Caller.Owner); ok && after == "" {
			page.Accounts = append(page.Accounts, viewAccount(&account))
		}
		c.JSON(http.StatusOK, page)
		return nil
	}
	accounts, next, err := h.ledger.ListAccounts(after, limit)
	if errors.Is(err, ledger.ErrNotFound) {
		return rest.Invalid("after", "%s is not a cursor of this list", rest.Shown(after))
	}
	if err != nil {
		return err
	}
	for i := range accounts {
		page.Accounts = append(page.Accounts, viewAccount(&accounts[i]))
	}
	page.Next = next
	c.JSON(http.StatusOK, page)
	return nil
}

func (h *Handler) getAccount(c *rest.Call) error {
	id := c.Parameters[0]
	account, ok := h.ledger.Account(id)
	if !ok || !c.Manages(id) {
		return rest.NotFound("account", id)
	}
	c.JSON(http.StatusOK, viewAccount(&account))
	return nil
}

// patchAccount renames, freezes or unfreezes an account.
func (h *Handler) patchAccount(c *rest.Call) error {
	f, err := c.Fields()
	if err != nil {
		return err
	}
	patch := ledger.AccountPatch{Reason: f.Text("reason", rules.MaxName)}
	if f.Has("name") {
		patch.Name = new(f.Text("name", rules.MaxName))
	}
	if f.Has("frozen") {
		patch.Frozen = new(f.Flag("frozen"))
	}
	f.Done()
	if err := f.Err(); err != nil {
		return err
	}
	id := c.Parameters[0]
	account, err := h.ledger.UpdateAccount(c.Context(), id, patch)
	if errors.Is(err, ledger.ErrNotFound) {
		return rest.NotFound("account", id)
	}
	if err != nil {
		return err
	}
	c.Audit("account changed", id)
	c.JSON(http.StatusOK, viewAccount(&account))
	return nil
}

// moneyKey returns the header Idempotency-Key, which is required where credit moves, so
// that a client that got no reply can ask again without moving it twice.
func moneyKey(c *rest.Call) (string, error) {
	key := c.Request.Header.Get(rest.IdempotencyHeader)
	if key == "" {
		return "", rest.Invalid(rest.IdempotencyHeader, "this header is required: any text that you use for this request alone")
	}
	return key, nil
}

// adjust corrects an account up or down.
func (h *Handler) adjust(c *rest.Call) error {
	key, err := moneyKey(c)
	if err != nil {
		return err
	}
	f, err := c.Fields()
	if err != nil {
		return err
	}
	amount, present := f.SignedAmount("amount")
	if !present || amount == 0 {
		f.Refuse("amount", "required: credits that are added, or taken away if below zero, such as -12.5")
	}
	reason := f.Text("reason", rules.MaxName)
	if reason == "" {
		f.Refuse("reason", "required: why the account is corrected")
	}
	f.Done()
	if err := f.Err(); err != nil {
		return err
	}
	id := c.Parameters[0]
	made, err := h.ledger.Adjust(c.Context(), id, ledger.Adjustment{Amount: amount, Reason: reason, IdempotencyKey: key})
	return h.creditReply(c, "account adjusted", id, amount, &made, err)
}

// topUp adds credit.
func (h *Handler) topUp(c *rest.Call) error {
	key, err := moneyKey(c)
	if err != nil {
		return err
	}
	f, err := c.Fields()
	if err != nil {
		return err
	}
	amount, present := f.Amount("amount")
	if !present {
		f.Refuse("amount", "required: credits as a decimal string or a whole number")
	}
	f.Done()
	if err := f.Err(); err != nil {
		return err
	}
	id := c.Parameters[0]
	made, err := h.ledger.TopUp(c.Context(), id, amount, key)
	return h.creditReply(c, "account topped up", id, amount, &made, err)
}

// creditReply tells how an account's credit was changed, or that it was before.
func (h *Handler) creditReply(c *rest.Call, what, id string, amount ledger.Micro, made *ledger.TopUp, err error) error {
	if errors.Is(err, ledger.ErrNotFound) {
		return rest.NotFound("account", id)
	}
	if err != nil {
		return err
	}
	status := http.StatusCreated
	if made.Replayed {
		status = http.StatusOK
	} else {
		c.Audit(what, id)
	}
	c.JSON(status, topUpView{made.Sequence, made.Replayed, amount.String(), amount, viewAccount(&made.Account)})
	return nil
}
