package caddymodule

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/penstockhq/penstock/ledger"
	"github.com/penstockhq/penstock/ledger/sqlitestore"
)

func init() {
	caddy.RegisterModule(new(SQLiteLedger))
}

// SQLiteLedger keeps the ledger in an SQLite file in a directory of its own. It
// is the store for a single process: a second process on the same directory
// refuses to start.
type SQLiteLedger struct {
	// The directory, which is created at the first start. Placeholders such as
	// `{env.PENSTOCK_DATA}` are replaced. A relative path is taken from the
	// working directory. Default: `./penstock-data`.
	Directory string `json:"directory,omitempty"`
}

// CaddyModule implements caddy.Module.
func (*SQLiteLedger) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "penstock.ledgers.sqlite", New: func() caddy.Module { return new(SQLiteLedger) }}
}

// Provision implements caddy.Provisioner.
func (s *SQLiteLedger) Provision(caddy.Context) error {
	if s.Directory == "" {
		s.Directory = "./penstock-data"
	}
	directory, err := caddy.NewReplacer().ReplaceOrErr(s.Directory, true, true)
	if err != nil {
		return err
	}
	// Absolute, so that two spellings of one directory are one ledger.
	s.Directory, err = filepath.Abs(directory)
	return err
}

// Validate implements caddy.Validator. It writes nothing, and leaves rights alone: who checks
// a configuration need not be the user that runs it.
func (s *SQLiteLedger) Validate() error {
	for folder := s.Folder(); ; folder = filepath.Dir(folder) {
		info, err := os.Stat(folder)
		switch {
		case errors.Is(err, fs.ErrPermission):
			return nil
		case err != nil && filepath.Dir(folder) == folder:
			return fmt.Errorf("ledger: the directory %s cannot be made: %w", s.Folder(), err)
		case err != nil:
			continue // it would be made; what is above it says whether it can
		case !info.IsDir():
			return fmt.Errorf("ledger: the directory %s cannot be made: %s is a file", s.Folder(), folder)
		}
		return nil
	}
}

// Identity implements LedgerStore.
func (s *SQLiteLedger) Identity() string { return "sqlite:" + s.Directory }

// Open implements LedgerStore.
func (s *SQLiteLedger) Open(ctx context.Context) (ledger.Store, error) {
	return sqlitestore.Open(ctx, s.Directory)
}

// Folder implements LedgerStore.
func (s *SQLiteLedger) Folder() string { return filepath.Dir(sqlitestore.FilePath(s.Directory)) }

// UnmarshalCaddyfile sets up the store from Caddyfile tokens. Syntax:
//
//	ledger sqlite [<directory>]
func (s *SQLiteLedger) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // consume the store's name
	if d.NextArg() {
		s.Directory = d.Val()
	}
	if d.NextArg() {
		return d.Errf("ledger sqlite: unexpected argument %q", d.Val())
	}
	if d.NextBlock(0) {
		return d.Errf("ledger sqlite takes no block")
	}
	return nil
}

// Interface guards
var (
	_ caddy.Provisioner     = (*SQLiteLedger)(nil)
	_ caddy.Validator       = (*SQLiteLedger)(nil)
	_ caddyfile.Unmarshaler = (*SQLiteLedger)(nil)
	_ LedgerStore           = (*SQLiteLedger)(nil)
)
