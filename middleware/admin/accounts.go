package admin

import (
	"errors"
	"net/http"

	"github.com/penstockhq/penstock/ledger"
)

// accountView is an account on the wire.
type accountView struct {
	ID             string       `json:"id"`
	Name           string       `json:"name"`
	Available      string       `json:"available"`
	AvailableMicro ledger.Micro `json:"available_micro"`
	Held           string       `json:"held"`
	HeldMicro      ledger.Micro `json:"held_micro"`
	Spent          string       `json:"spent"`
	SpentMicro     ledger.Micro `json:"spent_micro"`
	CreatedAt      *string      `json:"created_at"`
}

// accountPage is a page of accounts. Next is what after must be for the page
// behind it.
type accountPage struct {
	Accounts []accountView `json:"accounts"`
	Next     string        `json:"next,omitempty"`
}

// topUpView is the reply to a top-up. Replayed says that the same top-up was made
// before and nothing was added now.
type topUpView struct {
	Sequence    int64        `json:"seq"`
	Replayed    bool         `json:"replayed"`
	Amount      string       `json:"amount"`
	AmountMicro ledger.Micro `json:"amount_micro"`
	Account     accountView  `json:"account"`
}

func viewAccount(account *ledger.Account) accountView {
	return accountView{
		ID: account.ID, Name: account.Name,
		Available: account.Available.String(), AvailableMicro: account.Available,
		Held: account.Held.String(), HeldMicro: account.Held,
		Spent: account.Spent.String(), SpentMicro: account.Spent,
		CreatedAt: formatMoment(account.CreatedAt),
	}
}

func (h *Handler) createAccount(c *call) error {
	f, err := readFields(c.writer, c.request)
	if err != nil {
		return err
	}
	id, name := f.text("id", maxName), f.text("name", maxName)
	f.done()
	if err := f.err(); err != nil {
		return err
	}
	account, err := h.ledger.CreateAccount(c.context(), id, name)
	if err != nil {
		return err
	}
	c.audit("account created", id)
	c.json(http.StatusCreated, viewAccount(&account))
	return nil
}

func (h *Handler) listAccounts(c *call) error {
	q, err := readQuery(c)
	if err != nil {
		return err
	}
	after, limit := q.text("after"), int(q.integer("limit", 100, 1, maxPage))
	if err := q.done(); err != nil {
		return err
	}
	page := accountPage{Accounts: []accountView{}}
	if !c.caller.AllOwners {
		if account, ok := h.ledger.Account(c.caller.Owner); ok && after == "" {
			page.Accounts = append(page.Accounts, viewAccount(&account))
		}
		c.json(http.StatusOK, page)
		return nil
	}
	accounts, next, err := h.ledger.ListAccounts(after, limit)
	if errors.Is(err, ledger.ErrNotFound) {
		return invalid("after", "%s is no cursor of this list", shown(after))
	}
	if err != nil {
		return err
	}
	for i := range accounts {
		page.Accounts = append(page.Accounts, viewAccount(&accounts[i]))
	}
	page.Next = next
	c.json(http.StatusOK, page)
	return nil
}

func (h *Handler) getAccount(c *call) error {
	id := c.parameters[0]
	account, ok := h.ledger.Account(id)
	if !ok || !c.manages(id) {
		return notFound("account", id)
	}
	c.json(http.StatusOK, viewAccount(&account))
	return nil
}

// topUp adds credit. The header Idempotency-Key is required, because a client
// that got no reply has to be able to ask again without paying twice.
func (h *Handler) topUp(c *call) error {
	key := c.request.Header.Get("Idempotency-Key")
	if key == "" {
		return invalid("Idempotency-Key", "this header is required: a text of your choice for this top-up alone")
	}
	f, err := readFields(c.writer, c.request)
	if err != nil {
		return err
	}
	amount, present := f.amount("amount")
	if !present {
		f.refuse("amount", "required: credits as a decimal string or a whole number")
	}
	f.done()
	if err := f.err(); err != nil {
		return err
	}
	id := c.parameters[0]
	made, err := h.ledger.TopUp(c.context(), id, amount, key)
	if errors.Is(err, ledger.ErrNotFound) {
		return notFound("account", id)
	}
	if err != nil {
		return err
	}
	c.audit("account topped up", id)
	status := http.StatusCreated
	if made.Replayed {
		status = http.StatusOK
	}
	c.json(status, topUpView{made.Sequence, made.Replayed, amount.String(), amount, viewAccount(&made.Account)})
	return nil
}
