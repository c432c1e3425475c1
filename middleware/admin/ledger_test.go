package admin

import (
	"net/http"
	"strings"
	"testing"
)

func TestTheLedgerIsShownPrunedAndRescued(t *testing.T) {
	s := newServer(t)
	head := s.Call("GET", "/admin/v1/ledger", s.Admin, "").Want(http.StatusOK)
	if head.Fields()["seq"] == 0.0 || len(head.Text("head_sha256")) != 64 || head.Fields()["admitting"] != true {
		t.Errorf("the ledger is %s", head.Body)
	}
	s.Call("POST", "/admin/v1/ledger/prune", s.Admin, `{"before":"soon"}`).Want(http.StatusBadRequest)
	if pruned := s.Call("POST", "/admin/v1/ledger/prune", s.Admin, `{"before":"2020-01-31"}`).Want(http.StatusOK); pruned.Fields()["through_seq"] != 0.0 {
		t.Errorf("pruned: %s", pruned.Body)
	}
	rescued := s.Call("POST", "/admin/v1/ledger/rescue", s.Admin, "").Want(http.StatusOK)
	if !strings.HasPrefix(rescued.Body, "SQLite format 3") || rescued.Header.Get("X-Penstock-Entries") != "complete" {
		t.Errorf("rescued: %.40q, %v", rescued.Body, rescued.Header)
	}
}
