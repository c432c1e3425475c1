package redisstore

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/penstockhq/penstock/limits"
)

// unfit opens a store that must be refused, and returns the message.
func unfit(t *testing.T, to Server, options ...Option) string {
	t.Helper()
	store, err := Open(t.Context(), to, append(options, WithOnError(Admit))...)
	if err == nil {
		store.Close()
		t.Fatal("the server is taken")
	}
	if !errors.Is(err, ErrUnfit) {
		t.Errorf("the error is %v", err)
	}
	if strings.Contains(err.Error(), "hunter2") {
		t.Errorf("the error holds the password: %v", err)
	}
	return err.Error()
}

func TestUnfitServersAreRefusedWithOneClearMessage(t *testing.T) {
	run := func(client *redis.Client, arguments ...any) {
		t.Helper()
		if err := client.Do(t.Context(), arguments...).Err(); err != nil {
			t.Fatal(err)
		}
	}
	for name, test := range map[string]struct {
		options []string
		prepare func(*redis.Client)
		server  Server
		want    string
	}{
		"a wrong password": {
			options: []string{"--requirepass", "right"}, server: Server{Password: "hunter2"}, want: "the password is wrong",
		},
		"no password": {options: []string{"--requirepass", "right"}, want: "the server asks for a password"},
		"a user without scripts": {
			prepare: func(c *redis.Client) {
				run(c, "ACL", "SETUSER", "gateway", "on", ">hunter2", "~*", "+@all", "-@scripting")
			},
			server: Server{Username: "gateway", Password: "hunter2"}, want: "the user lacks a right",
		},
		"a user without the keys": {
			prepare: func(c *redis.Client) {
				run(c, "ACL", "SETUSER", "gateway", "on", ">hunter2", "~other:*", "+@all")
			},
			server: Server{Username: "gateway", Password: "hunter2"}, want: "the user lacks a right",
		},
		"an eviction policy": {
			options: []string{"--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru"}, want: "maxmemory_policy allkeys-lru",
		},
		"data of another program": {
			prepare: func(c *redis.Client) { run(c, "HSET", "penstock:settings", "a", "b") }, want: "in use by data of another program",
		},
		"data of another version": {
			prepare: func(c *redis.Client) { run(c, "SET", "penstock:settings", "penstock limiter 2 zone=UTC") }, want: "or of another version",
		},
		"gateways in another zone": {
			prepare: func(c *redis.Client) {
				run(c, "SET", "penstock:settings", schema+" zone=Europe/Berlin strict=false entries=1024")
			},
			want: "zone=Europe/Berlin strict=false entries=1024, this one has zone=UTC",
		},
	} {
		t.Run(name, func(t *testing.T) {
			redis := startServer(t, test.options...)
			if test.prepare != nil {
				test.prepare(redis.client())
			}
			test.server.Addresses = []string{redis.Socket}
			if message := unfit(t, test.server); !strings.Contains(message, test.want) {
				t.Errorf("the message is %q, want %q in it", message, test.want)
			}
		})
	}
}

func TestAServerThatIsTooOldIsRefused(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "old")
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	go func() { // says what an old server would
		for {
			connection, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				for lines := bufio.NewScanner(connection); lines.Scan(); {
					switch strings.ToLower(lines.Text()) {
					case "hello":
						fmt.Fprint(connection, "-ERR unknown command\r\n")
					case "time":
						fmt.Fprint(connection, "*2\r\n$1\r\n1\r\n$1\r\n1\r\n")
					case "info":
						fmt.Fprint(connection, "$20\r\nredis_version:3.2.12\r\n")
					}
				}
			}()
		}
	}()
	if message := unfit(t, Server{Addresses: []string{socket}}); !strings.Contains(message, "3.2.12; it must be 6.2 or newer") {
		t.Errorf("the message is %q", message)
	}
}

func TestVersionsAreCompared(t *testing.T) {
	for version, want := range map[string]bool{"6.2.0": true, "6.1.9": false, "7.0.15": true, "10.0": true, "5.9.9": false, "": false, "seven.two": false} {
		if atLeast(version, 6, 2) != want {
			t.Errorf("version %q: %v", version, !want)
		}
	}
}

func TestAServerThatIsAwayIsNoErrorWhereCallsAreAdmittedWithoutIt(t *testing.T) {
	nowhere := Server{Addresses: []string{filepath.Join(t.TempDir(), "nowhere")}}
	if _, err := Open(t.Context(), nowhere); !errors.Is(err, ErrUnavailable) || errors.Is(err, ErrUnfit) {
		t.Errorf("a server that is away gives %v", err)
	}
	store, err := Open(t.Context(), nowhere, WithOnError(Admit))
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	if store.Ready() == nil {
		t.Error("it is ready")
	}
}

// Data of another program where a counter should be stops the calls of that key, and
// nothing is lost of it.
func TestForeignDataInPlaceOfACounterIsKept(t *testing.T) {
	redis := startServer(t)
	s, client := redis.open(WithTimeout(patient)), redis.client()
	r := request(limits.Row{RPM: 50})
	at := s.place(&r)
	for _, foreign := range []string{"short", strings.Repeat("something else entirely ", 10)} {
		client.Set(t.Context(), at.base, foreign, time.Hour)
		if _, err := s.Reserve(t.Context(), r); !errors.Is(err, ErrUnavailable) || !strings.Contains(err.Error(), "data of another program") {
			t.Errorf("foreign data give %v", err)
		}
		if _, err := s.Inspect(t.Context(), r); err == nil || !strings.Contains(err.Error(), "data of another program") {
			t.Errorf("foreign data give %v", err)
		}
		if kept := client.Get(t.Context(), at.base).Val(); kept != foreign {
			t.Errorf("foreign data became %q", kept)
		}
	}
	client.Del(t.Context(), at.base)
	client.LPush(t.Context(), at.base, "x")
	if _, err := s.Reserve(context.Background(), r); !errors.Is(err, ErrUnavailable) {
		t.Errorf("a list gives %v", err)
	}
	other := r
	other.Key = "another"
	for range 2 * tripAfter {
		if _, err := s.Reserve(t.Context(), r); err == nil || s.Ready() != nil {
			t.Fatalf("one key gives %v and stops all others: %v", err, s.Ready())
		}
		admit(t, s, other)
	}
}
