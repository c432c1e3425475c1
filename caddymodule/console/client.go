package console

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/penstockhq/penstock/caddymodule/internal/runtime"
)

// client speaks the native administration API, over the network or a socket to a running
// instance, or through a pipe to a handler of its own.
type client struct {
	base string
	key  string // none through a socket, which only its owner can open
	http *http.Client
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
		file = filepath.Join(c.folder(), runtime.AdminKeyFile)
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

// call makes a request and reads the reply into reply, if that is not nil.
func (c *client) call(ctx context.Context, method, path string, body, reply any, header ...string) error {
	response, err := c.send(ctx, method, path, body, header...)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if err := json.NewDecoder(response.Body).Decode(reply); err != nil {
		return fmt.Errorf("reading the reply of %s: %w", path, err)
	}
	return nil
}

// send makes a request and returns a reply that is no refusal.
func (c *client) send(ctx context.Context, method, path string, body any, header ...string) (*http.Response, error) {
	var sent io.Reader
	if body != nil {
		encoded, err := json.Marshal(body)
		if err != nil {
			return nil, err
		}
		sent = bytes.NewReader(encoded)
	}
	request, err := http.NewRequestWithContext(ctx, method, c.base+path, sent)
	if err != nil {
		return nil, err
	}
	if c.key != "" {
		request.Header.Set("Authorization", "Bearer "+c.key)
	}
	for i := 0; i < len(header); i += 2 {
		request.Header.Set(header[i], header[i+1])
	}
	response, err := c.http.Do(request)
	if err != nil {
		return nil, err
	}
	if response.StatusCode/100 != 2 {
		return nil, errors.Join(refusalOf(response), response.Body.Close())
	}
	return response, nil
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
	var told struct{ Error refusal }
	body, err := io.ReadAll(io.LimitReader(response.Body, 1<<16))
	if err != nil {
		return err
	}
	if json.Unmarshal(body, &told) != nil || told.Error.Message == "" {
		return fmt.Errorf("the instance answered %s; is penstock_admin served at this address?", response.Status)
	}
	told.Error.status = response.StatusCode
	return &told.Error
}

// refusal is an error that the administration answers with. Its members are those of
// the errors that --json prints.
type refusal struct {
	Type    string `json:"type,omitempty"`
	Code    string `json:"code,omitempty"`
	Message string `json:"message"`
	Param   string `json:"param,omitempty"`
	status  int
}

// Error implements error.
func (r *refusal) Error() string { return r.Message }
