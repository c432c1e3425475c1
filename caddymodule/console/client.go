package console

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
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

// client speaks the native administration API, over the network to a running
// instance or through a pipe to a handler of its own.
type client struct {
	base string
	key  string
	http *http.Client
}

// directory returns the data directory.
func (c *console) directory() string {
	return cmp.Or(c.data, os.Getenv("PENSTOCK_DATA"), "./penstock-data")
}

// connect calls use with a client. create says whether a ledger may be created
// where there is none.
func (c *console) connect(cmd *cobra.Command, create bool, use func(*client) error) error {
	if address := cmp.Or(c.address, os.Getenv("PENSTOCK_ADDRESS")); address != "" {
		return c.remote(cmd, address, use)
	}
	if _, err := os.Stat(sqlitestore.FilePath(c.directory())); errors.Is(err, fs.ErrNotExist) && !create {
		return fmt.Errorf("no ledger found in %s: give its directory with --data, or a running instance with --address",
			c.directory())
	}
	store, err := sqlitestore.Open(cmd.Context(), c.directory())
	if errors.Is(err, ledger.ErrLocked) {
		err := c.remote(cmd, "http://localhost:8080", use)
		var unreachable *net.OpError
		if errors.As(err, &unreachable) {
			return fmt.Errorf("%w; the data directory %s is in use: if its instance listens elsewhere, give --address",
				err, c.directory())
		}
		return err
	}
	if err != nil {
		return err
	}
	return local(cmd.Context(), store, use)
}

// remote talks to a running instance.
func (c *console) remote(cmd *cobra.Command, address string, use func(*client) error) error {
	key, err := c.adminKey(cmd.InOrStdin())
	if err != nil {
		return err
	}
	if !strings.Contains(address, "://") {
		address = "http://" + address
	}
	return use(&client{base: strings.TrimSuffix(address, "/"), key: key, http: http.DefaultClient})
}

// maxKeyFile is how much of a file is read as a key, in bytes.
const maxKeyFile = 4096

// adminKey finds the admin key. It is never an argument: those stand in process
// lists and shell histories.
func (c *console) adminKey(stdin io.Reader) (string, error) {
	file := c.keyFile
	switch {
	case file == "-":
		return readKey(stdin, "standard input")
	case file == "":
		if key := os.Getenv("PENSTOCK_ADMIN_KEY"); key != "" {
			return readKey(strings.NewReader(key), "PENSTOCK_ADMIN_KEY")
		}
		file = filepath.Join(filepath.Dir(sqlitestore.FilePath(c.directory())), runtime.AdminKeyFile)
	}
	opened, err := os.Open(file)
	if errors.Is(err, fs.ErrNotExist) && c.keyFile == "" {
		return "", errors.New("an admin key is needed: " +
			"give a file with --key-file (- is standard input), or set PENSTOCK_ADMIN_KEY")
	}
	if err != nil {
		return "", err
	}
	defer opened.Close()
	return readKey(opened, file)
}

// readKey reads the admin key. Text that cannot be a key is refused here, because
// in a header it would fail with an error that does not say where it came from.
func readKey(from io.Reader, place string) (string, error) {
	key, err := readSecret(from)
	if err == nil && (key == "" || strings.ContainsFunc(key, func(r rune) bool { return r < ' ' || r == 0x7f })) {
		err = fmt.Errorf("%s holds no admin key: expected one line with the key and nothing else", place)
	}
	return key, err
}

func readSecret(from io.Reader) (string, error) {
	content, err := io.ReadAll(io.LimitReader(from, maxKeyFile))
	return strings.TrimSpace(string(content)), err
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

// call makes a request and reads the reply into reply, if that is not nil.
func (c *client) call(ctx context.Context, method, path string, body, reply any, header ...string) error {
	var sent io.Reader
	if body != nil {
		encoded, err := json.Marshal(body)
		if err != nil {
			return err
		}
		sent = bytes.NewReader(encoded)
	}
	request, err := http.NewRequestWithContext(ctx, method, c.base+path, sent)
	if err != nil {
		return err
	}
	request.Header.Set("Authorization", "Bearer "+c.key)
	for i := 0; i < len(header); i += 2 {
		request.Header.Set(header[i], header[i+1])
	}
	response, err := c.http.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode/100 != 2 {
		return refusalOf(response)
	}
	if err := json.NewDecoder(response.Body).Decode(reply); err != nil {
		return fmt.Errorf("reading the reply of %s: %w", path, err)
	}
	return nil
}

// list returns the records of a route that lists them page by page, all of them or up to a
// maximum above zero. The route and the reply's member have the same name.
func (c *client) list(ctx context.Context, path string, query url.Values, maximum int) ([]record, error) {
	records, member := []record{}, path[strings.LastIndex(path, "/")+1:]
	query.Set("limit", "1000")
	for {
		var page record
		if err := c.call(ctx, "GET", path+"?"+query.Encode(), nil, &page); err != nil {
			return nil, err
		}
		records = append(records, page.list(member)...)
		if maximum > 0 && len(records) >= maximum {
			return records[:maximum], nil
		}
		next, _ := page["next"].(string)
		if next == "" {
			return records, nil
		}
		query.Set("after", next)
	}
}

// refusalOf returns what the administration says as an error.
func refusalOf(response *http.Response) error {
	var refusal struct {
		Error struct{ Message string } `json:"error"`
	}
	body, err := io.ReadAll(io.LimitReader(response.Body, 1<<16))
	if err != nil {
		return err
	}
	if json.Unmarshal(body, &refusal) != nil || refusal.Error.Message == "" {
		return fmt.Errorf("the instance answered %s; is penstock_admin served at this address?", response.Status)
	}
	return errors.New(refusal.Error.Message)
}
