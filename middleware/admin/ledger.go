package admin

import (
	"encoding/hex"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/penstockhq/penstock/middleware/admin/internal/rest"
	"github.com/penstockhq/penstock/middleware/admin/internal/schema"
)

// ledgerView says up to where the ledger is durable, and the hash that stands for it.
type ledgerView struct {
	Sequence   int64  `json:"seq"`
	HeadSHA256 string `json:"head_sha256"`
	Admitting  bool   `json:"admitting"`
	Reason     string `json:"reason,omitempty"` // why nothing is admitted
}

// prunedView says which entries are gone.
type prunedView struct {
	Through int64 `json:"through_seq"`
}

// ledgerRoutes are about the ledger as a whole.
func (h *Handler) ledgerRoutes() []rest.Route {
	const path = "/admin/v1/ledger"
	return []rest.Route{
		{
			Method: "GET", Path: path, Access: rest.AccessOperator, Handle: h.ledgerHead, ID: "getLedger", Tag: tagReports,
			Summary: "Show the ledger's last entry, the hash that stands for all of it, and whether calls are admitted.",
			Reply:   ledgerView{},
		},
		{
			Method: "POST", Path: path + "/prune", Access: rest.AccessOperator, Handle: h.prune, ID: "pruneLedger", Tag: tagReports,
			Summary: "Remove the entries of the UTC days before a day, for good. Balances and usage by day stay.",
			Request: schema.Object(schema.Members{"before": schema.Day}, "before"), Reply: prunedView{},
			RequestExample: map[string]any{"before": "2030-01-31"},
		},
		{
			Method: "POST", Path: path + "/rescue", Access: rest.AccessOperator, Handle: h.rescue, ID: "rescueLedger", Tag: tagReports,
			Summary: "Send all that the instance knows as a new ledger file, also if its own was deleted.",
			Media:   "application/vnd.sqlite3", Reply: "",
		},
	}
}

func (h *Handler) ledgerHead(c *rest.Call) error {
	head, err := h.ledger.Head(c.Context())
	if err != nil {
		return err
	}
	view := ledgerView{Sequence: head.Sequence, HeadSHA256: hex.EncodeToString(head.Hash[:]), Admitting: true}
	if err := h.ledger.Ready(); err != nil {
		view.Admitting, view.Reason = false, err.Error()
	}
	c.JSON(http.StatusOK, view)
	return nil
}

func (h *Handler) prune(c *rest.Call) error {
	f, err := c.Fields()
	if err != nil {
		return err
	}
	before := f.Text("before", len(time.DateOnly))
	f.Done()
	if err := f.Err(); err != nil {
		return err
	}
	day, err := time.Parse(time.DateOnly, before)
	if err != nil {
		return rest.Invalid("before", "%s is not a UTC day such as 2030-01-31", rest.Shown(before))
	}
	through, err := h.ledger.Prune(c.Context(), day)
	if err != nil {
		return err
	}
	c.Audit("ledger pruned", "before "+before)
	c.JSON(http.StatusOK, prunedView{through})
	return nil
}

// rescue makes the file beside no ledger: the directory of the lost one may be gone.
func (h *Handler) rescue(c *rest.Call) error {
	directory, err := os.MkdirTemp("", "penstock-rescue-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(directory)
	name := filepath.Join(directory, "ledger.db")
	complete, err := h.ledger.Rescue(c.Context(), name)
	if err != nil {
		return err
	}
	file, err := os.Open(name)
	if err != nil {
		return err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return err
	}
	c.Audit("ledger rescued", "")
	header := c.Writer.Header()
	header.Set("Content-Type", "application/vnd.sqlite3")
	header.Set("Cache-Control", "no-store")
	header.Set("Content-Length", strconv.FormatInt(info.Size(), 10))
	header.Set("X-Penstock-Entries", map[bool]string{true: "complete", false: "none"}[complete])
	if _, err := io.Copy(c.Writer, file); err != nil {
		panic(http.ErrAbortHandler) // the status is sent: a client must not take a part for the whole
	}
	return nil
}
