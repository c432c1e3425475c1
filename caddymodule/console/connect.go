package console

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/penstockhq/penstock/caddymodule/internal/runtime"
	"github.com/penstockhq/penstock/ledger"
	"github.com/penstockhq/penstock/ledger/sqlitestore"
	"github.com/penstockhq/penstock/limiter"
	"github.com/penstockhq/penstock/middleware/admin"
)

// directory returns the data directory.
func (c *console) directory() string {
	return cmp.Or(c.data, os.Getenv("PENSTOCK_DATA"), "./penstock-data")
}

// namesDirectory reports whether the data directory was given, and is not the default.
func (c *console) namesDirectory() bool { return c.data != "" || os.Getenv("PENSTOCK_DATA") != "" }

// folder returns the directory that holds the ledger's files.
func (c *console) folder() string { return filepath.Dir(sqlitestore.FilePath(c.directory())) }

// connect calls use with a client. makes says that the command makes something: it then
// says where, and may make a ledger in a directory that was named.
//
// An address that was given wins, then the data directory: the instance that runs on it,
// or its ledger if none runs. PENSTOCK_ADDRESS stands for the instance if no data directory
// is named, or if nothing in that one leads to it.
func (c *console) connect(cmd *cobra.Command, makes bool, use func(*client) error) error {
	variable := os.Getenv("PENSTOCK_ADDRESS")
	if address := c.address; address != "" || variable != "" && !c.namesDirectory() {
		return c.remote(cmd, cmp.Or(address, variable), makes, use)
	}
	if api := c.instance(cmd.Context()); api != nil {
		err := use(api)
		api.http.CloseIdleConnections()
		return c.told(cmd, makes, err, "by the instance that runs on %s", c.directory())
	}
	made := false
	if _, err := os.Stat(sqlitestore.FilePath(c.directory())); errors.Is(err, fs.ErrNotExist) {
		switch made = true; {
		case variable != "":
			return c.remote(cmd, variable, makes, use)
		case !makes:
			return fmt.Errorf("no ledger found in %s: give its directory with --data, or a running instance with --address",
				c.directory())
		case !c.namesDirectory():
			return fmt.Errorf("no ledger found in %s, and none is made where you did not say so: "+
				"give the directory that the Caddyfile names (ledger sqlite) with --data or PENSTOCK_DATA", c.directory())
		}
	}
	store, err := sqlitestore.Open(cmd.Context(), c.directory())
	switch {
	case errors.Is(err, ledger.ErrLocked):
		err := c.remote(cmd, cmp.Or(variable, "http://localhost:8080"), makes, use)
		var unreachable *net.OpError
		if errors.As(err, &unreachable) {
			return fmt.Errorf("%w; the data directory %s is in use: if its instance listens elsewhere, give --address",
				err, c.directory())
		}
		return err
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%w: run the command as the user of the service, or give the running instance with --address", err)
	case err != nil:
		return err
	}
	err = errors.Join(local(cmd.Context(), store, use), giveToOwner(sqlitestore.FilePath(c.directory())))
	if made {
		return c.told(cmd, makes, err, "in a new ledger in %s; the service must run as the user that owns it", c.directory())
	}
	return c.told(cmd, makes, err, "in the ledger in %s, on which no instance runs", c.directory())
}

// told says where something was made, if it was.
func (c *console) told(cmd *cobra.Command, makes bool, err error, format string, arguments ...any) error {
	if makes && err == nil {
		fmt.Fprintf(cmd.ErrOrStderr(), "done "+format+"\n", arguments...)
	}
	return err
}

// instance returns a client of the instance that runs on the data directory, nil if none
// can be reached that way.
func (c *console) instance(ctx context.Context) *client {
	folder := c.folder()
	connection, err := runtime.Dial(ctx, folder)
	if err != nil {
		return nil
	}
	connection.Close()
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) { return runtime.Dial(ctx, folder) }
	return &client{base: "http://ledger", http: &http.Client{Transport: &http.Transport{DialContext: dial}}}
}

// remote talks to a running instance.
func (c *console) remote(cmd *cobra.Command, address string, makes bool, use func(*client) error) error {
	key, err := c.adminKey(cmd.InOrStdin())
	if err != nil {
		return err
	}
	if !strings.Contains(address, "://") {
		address = "http://" + address
	}
	err = use(&client{base: strings.TrimSuffix(address, "/"), key: key, http: http.DefaultClient})
	return c.told(cmd, makes, err, "by the instance at %s", address)
}

// local serves the administration of a ledger that no other process has open, to
// this process alone and for one call of use.
func local(ctx context.Context, store ledger.Store, use func(*client) error) error {
	opened, err := ledger.Open(ctx, store)
	if err != nil {
		return err
	}
	counts := limiter.New()
	key := rand.Text()
	pipe := newPipeListener()
	handler := admin.New(opened, counts, admin.WithAdminKeySHA256(sha256.Sum256([]byte(key))))
	server := &http.Server{Handler: handler}
	served := make(chan error, 1)
	go func() { served <- server.Serve(pipe) }()
	transport := &http.Transport{DialContext: pipe.dial}
	err = use(&client{base: "http://ledger", key: key, http: &http.Client{Transport: transport}})
	transport.CloseIdleConnections()
	stopped := server.Close()
	if ended := <-served; !errors.Is(ended, http.ErrServerClosed) {
		stopped = errors.Join(stopped, ended)
	}
	return errors.Join(err, stopped, counts.Close(), opened.Close(context.WithoutCancel(ctx)))
}
