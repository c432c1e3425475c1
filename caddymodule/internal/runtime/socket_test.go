package runtime

import (
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	goruntime "runtime"
	"strings"
	"testing"
)

// ask sends a request through the socket in a folder.
func ask(t *testing.T, folder, authorization string) (string, error) {
	t.Helper()
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return Dial(ctx, folder) }}
	defer transport.CloseIdleConnections()
	request, err := http.NewRequestWithContext(t.Context(), "GET", "http://ledger/", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	if authorization != "" {
		request.Header.Set("Authorization", authorization)
	}
	response, err := transport.RoundTrip(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return string(body), err
}

func TestTheSocketServesItsOwnerWithoutAKey(t *testing.T) {
	short, err := os.MkdirTemp("", "s")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(short)
	folders := []string{short}
	if goruntime.GOOS == "linux" {
		long := filepath.Join(short, strings.Repeat("long", 50))
		if err := os.Mkdir(long, 0o700); err != nil {
			t.Fatal(err)
		}
		folders = append(folders, long)
	}
	for _, folder := range folders {
		place := filepath.Join(folder, SocketFile)
		if err := os.WriteFile(place, []byte("what a killed process left"), 0o600); err != nil {
			t.Fatal(err)
		}
		s, err := newSocket(folder, nil)
		if err != nil {
			t.Fatal(err)
		}
		if body, err := ask(t, folder, ""); err != nil || !strings.Contains(body, "about to start") {
			t.Errorf("before the start: %q, %v", body, err)
		}
		var handler http.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.Header.Get("Authorization")) })
		s.handler.Store(&handler)
		if body, err := ask(t, folder, ""); err != nil || body != "Bearer "+s.key {
			t.Errorf("a request without a key does not get the socket's: %v", err)
		}
		if body, err := ask(t, folder, "Bearer own"); err != nil || body != "Bearer own" {
			t.Errorf("a request with a key of its own does not keep it: %v", err)
		}
		info, err := os.Stat(place)
		if err != nil || info.Mode()&(os.ModeSocket|0o777) != os.ModeSocket|0o600 {
			t.Errorf("the socket's mode is %v, %v", info.Mode(), err)
		}
		if err := s.close(); err != nil {
			t.Error(err)
		}
		if files, _ := os.ReadDir(folder); len(files) != 0 && folder != short {
			t.Errorf("the socket left %v", files)
		}
		if _, err := ask(t, folder, ""); err == nil {
			t.Error("a closed socket answers")
		}
	}
}
