//go:build unix

package redisstore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/penstockhq/penstock/limiter"
	"github.com/penstockhq/penstock/limits"
)

// storm asks for calls from many goroutines until n were asked for, and returns how
// many were admitted.
func storm(t testing.TB, s *Store, r limiter.Request, n int) int64 {
	var admitted, asked atomic.Int64
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			for asked.Add(1) <= int64(n) {
				decision, err := s.Reserve(context.Background(), r)
				if err != nil {
					t.Error(err)
					return
				}
				if decision.Admitted {
					admitted.Add(1)
					if err := s.Settle(context.Background(), decision.Handle, r.Tokens); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	group.Wait()
	return admitted.Load()
}

// TestGatewayProcess is a gateway of the test below, in a process of its own.
func TestGatewayProcess(t *testing.T) {
	socket := os.Getenv("PENSTOCK_REDIS_SOCKET")
	if socket == "" {
		t.Skip("this is a part of another test")
	}
	s, err := Open(t.Context(), Server{Addresses: []string{socket}}, WithTimeout(patient))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	fmt.Printf("admitted %d\n", storm(t, s, request(limits.Row{RPM: 500, TPM: 500 * 30}), 400))
}

func TestProcessesTogetherAdmitExactlyTheLimit(t *testing.T) {
	redis := startServer(t)
	var sum atomic.Int64
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			command := exec.Command(os.Args[0], "-test.run=^TestGatewayProcess$", "-test.v")
			command.Env = append(os.Environ(), "PENSTOCK_REDIS_SOCKET="+redis.Socket)
			output, err := command.CombinedOutput()
			_, rest, _ := strings.Cut(string(output), "admitted ")
			admitted := int64(0)
			if _, scanned := fmt.Sscan(rest, &admitted); err != nil || scanned != nil {
				t.Errorf("%v, %v: %s", err, scanned, output)
			}
			sum.Add(admitted)
		})
	}
	group.Wait()
	if sum.Load() != 500 {
		t.Errorf("4 processes admitted %d calls, want 500", sum.Load())
	}
}

// proxy stands between a store and the server and swallows some replies.
type proxy struct {
	socket  string
	swallow atomic.Bool
	taken   atomic.Int64 // connections that were cut before their reply
}

func startProxy(t *testing.T, to *server) *proxy {
	p := &proxy{socket: filepath.Join(filepath.Dir(to.Socket), "proxy.sock")}
	listener, err := net.Listen("unix", p.socket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			front, err := listener.Accept()
			if err != nil {
				return
			}
			back, err := net.Dial("unix", to.Socket)
			if err != nil {
				front.Close()
				continue
			}
			go func() {
				io.Copy(back, front)
				back.Close()
			}()
			go p.replies(front, back)
		}
	}()
	return p
}

// replies passes replies on; one in eight is lost with its connection.
func (p *proxy) replies(front, back net.Conn) {
	defer front.Close()
	defer back.Close()
	buffer := make([]byte, 64<<10)
	for {
		n, err := back.Read(buffer)
		if err != nil {
			return
		}
		if p.swallow.Load() && rand.IntN(8) == 0 {
			p.taken.Add(1)
			return
		}
		if _, err := front.Write(buffer[:n]); err != nil {
			return
		}
	}
}

// Whatever replies are lost, a call is counted once if it was admitted, and not if it
// was not, and it is settled once.
func TestSwallowedRepliesDoubleNothing(t *testing.T) {
	redis := startServer(t)
	through := startProxy(t, redis)
	s, err := Open(t.Context(), Server{Addresses: []string{through.socket}}, WithTimeout(patient))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	through.swallow.Store(true)
	r := request(limits.Row{RPM: 1 << 30, TPM: 1 << 40})
	admitted, settled := int64(0), int64(0)
	for i := range 1000 {
		decision, err := s.Reserve(t.Context(), r)
		if err != nil {
			continue // all attempts in a row were lost
		}
		admitted++
		if i%2 == 0 {
			settled++
			settle(t, s, decision.Handle, limiter.Tokens{Input: 1})
		}
	}
	flush(t, s)
	through.swallow.Store(false)
	scope := window(t, s, r)
	if scope.Window.Requests != admitted || scope.InFlight != admitted-settled || scope.Window.Tokens != settled+30*(admitted-settled) {
		t.Errorf("%d calls were admitted, %d settled, and the server counts %+v", admitted, settled, scope.Window)
	}
	if through.taken.Load() < 100 || admitted < 900 {
		t.Errorf("%d replies were swallowed and %d calls admitted: too few to tell", through.taken.Load(), admitted)
	}
}

// until waits for something to become true.
func until(t *testing.T, what string, done func() bool) {
	t.Helper()
	for start := time.Now(); !done(); time.Sleep(5 * time.Millisecond) {
		if time.Since(start) > 20*time.Second {
			t.Fatalf("%s: not within 20 s", what)
		}
	}
}

func TestARedisThatDiesIsAwayUntilItIsBack(t *testing.T) {
	redis := startServer(t)
	deny, open := redis.open(WithTimeout(time.Second), logged(t)), redis.open(WithTimeout(time.Second), WithOnError(Admit))
	r := request(limits.Row{RPM: 3})
	handle := admit(t, deny, r)
	redis.Kill()
	settle(t, deny, handle, limiter.Tokens{}) // waits
	until(t, "the circuits open", func() bool {
		decision, err := deny.Reserve(t.Context(), r)
		if !errors.Is(err, ErrUnavailable) || decision.Admitted {
			t.Fatalf("without Redis a call gets %+v, %v", decision, err)
		}
		decision, err = open.Reserve(t.Context(), r)
		if err != nil || !decision.Admitted {
			t.Fatalf("without Redis a call gets %+v, %v", decision, err)
		}
		settle(t, open, decision.Handle, limiter.Tokens{})
		return deny.Ready() != nil && open.Ready() != nil
	})
	start := time.Now()
	if _, err := deny.Reserve(t.Context(), r); err == nil || time.Since(start) > 100*time.Millisecond {
		t.Errorf("with the circuit open a call waits for %v and gets %v", time.Since(start), err)
	}
	if stats := open.Stats(); stats.Available || stats.Uncounted < tripAfter {
		t.Errorf("%+v", stats)
	}
	redis.Start()
	until(t, "the circuits close", func() bool { return deny.Ready() == nil && open.Ready() == nil })
	for range 3 {
		admit(t, open, r)
	}
	refuse(t, deny, r)
	flush(t, deny)
	flush(t, open)
	if stats := deny.Stats(); !stats.Available || stats.Waiting != 0 {
		t.Errorf("%+v", stats)
	}
}

// A paused server keeps nobody waiting, and what it finds when it goes on acts at most
// as the callers were told.
func TestAPausedRedisHoldsNobodyUpAndAdmitsNothingLater(t *testing.T) {
	redis := startServer(t)
	const timeout = 200 * time.Millisecond
	s := redis.open(WithTimeout(timeout), logged(t))
	r := request(limits.Row{RPM: 1 << 20})
	admit(t, s, r)
	if err := redis.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	for range 2 * tripAfter {
		start := time.Now()
		if _, err := s.Reserve(t.Context(), r); !errors.Is(err, ErrUnavailable) {
			t.Errorf("a paused server answers %v", err)
		}
		if took := time.Since(start); took > 5*timeout {
			t.Errorf("a call waits for %v", took)
		}
	}
	if err := redis.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	until(t, "the circuit closes", func() bool { return s.Ready() == nil })
	flush(t, s)
	if scope := window(t, s, r); scope.Window.Requests != 1 || scope.InFlight != 1 {
		t.Errorf("what nobody waits for was admitted: %+v", scope)
	}
	admit(t, s, r)
}

func TestAnAdmissionThatComesLateDoesNothing(t *testing.T) {
	s := startServer(t).open(WithTimeout(patient))
	r := request(limits.Row{RPM: 10})
	a := admission{store: s, request: &r, place: s.place(&r), rules: s.rules(&r), tokens: r.Tokens, number: s.number.Add(1)}
	a.id = s.callID(a.number)
	now := s.clock()
	now.wall = now.wall.Add(-time.Minute) // it was sent a minute ago
	command := invoke(t.Context(), s.client, []*invocation{a.invocation(now)})[0]
	if reply, err := command.Slice(); err != nil || reply[0] != int64(answerStale) {
		t.Errorf("%v, %v", reply, err)
	}
	if scope := window(t, s, r); scope.Window.Requests != 0 {
		t.Errorf("it is counted: %+v", scope)
	}
	s.learn(time.Now().Add(-time.Hour)) // a clock that is far off is learned anew
	admit(t, s, r)
}

func TestAFlushOfScriptsGoesUnnoticed(t *testing.T) {
	redis := startServer(t)
	s, client := redis.open(WithTimeout(patient)), redis.client()
	r := request(limits.Row{RPM: 1000, MaxInFlight: 1})
	for range 30 {
		if err := client.ScriptFlush(t.Context()).Err(); err != nil {
			t.Fatal(err)
		}
		settle(t, s, admit(t, s, r), r.Tokens)
	}
	flush(t, s)
	if scope := window(t, s, r); scope.Window.Requests != 30 || scope.InFlight != 0 {
		t.Errorf("%+v", scope)
	}
}

// A server may know the script of the admission alone. The settlement that goes ahead of it
// must have run all the same.
func TestScriptsRunInTheirOrderWhereTheServerKnowsOnlySome(t *testing.T) {
	redis := startServer(t)
	s, client := redis.open(WithTimeout(patient)), redis.client()
	r := request(limits.Row{MaxInFlight: 1})
	handle := admit(t, s, r)
	ended, err := s.leave(handle) // nothing is sent in the background
	if err != nil {
		t.Fatal(err)
	}
	client.ScriptFlush(t.Context())
	other := r
	other.Key = "another"
	admit(t, s, other)
	a := admission{store: s, request: &r, place: s.place(&r), rules: s.rules(&r), tokens: r.Tokens, number: s.number.Add(1)}
	a.id = s.callID(a.number)
	commands := invoke(t.Context(), s.client, []*invocation{s.settling(&settlement{call: ended}, s.clock()), a.invocation(s.clock())})
	if reply, err := commands[1].Slice(); err != nil || reply[0] != int64(answerAdmitted) {
		t.Errorf("the call after the settlement gets %v, %v", reply, err)
	}
}

func TestAFullRedisDeniesAndStillSettles(t *testing.T) {
	redis := startServer(t, "--maxmemory-policy", "noeviction")
	s, client := redis.open(WithTimeout(patient)), redis.client()
	r := request(limits.Row{RPM: 1000})
	handle := admit(t, s, r)
	if err := client.ConfigSet(t.Context(), "maxmemory", "1000").Err(); err != nil {
		t.Fatal(err)
	}
	_, err := s.Reserve(t.Context(), r)
	if !errors.Is(err, ErrUnavailable) || !strings.Contains(err.Error(), "memory is full") {
		t.Errorf("a full server gives %v", err)
	}
	settle(t, s, handle, limiter.Tokens{})
	flush(t, s)
	if scope := window(t, s, r); scope.Window.Requests != 1 || scope.InFlight != 0 || scope.Window.Tokens != 0 {
		t.Errorf("%+v", scope)
	}
}
