package alerts

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// received is one request at the receiver.
type received struct {
	header http.Header
	body   string
}

// receiver answers with the given statuses in turn, then with 204.
func receiver(t *testing.T, statuses ...int) (string, chan received) {
	t.Helper()
	requests := make(chan received, 100)
	next := make(chan int, len(statuses))
	for _, status := range statuses {
		next <- status
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		requests <- received{r.Header, string(body)}
		select {
		case status := <-next:
			w.WriteHeader(status)
		default:
			w.WriteHeader(http.StatusNoContent)
		}
	}))
	t.Cleanup(server.Close)
	return server.URL, requests
}

func TestAWebhookIsSignedAndTriedAgain(t *testing.T) {
	url, requests := receiver(t, 500, 429, 302)
	hook, err := NewWebhook(url, []byte("secret"), WithPause(time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	defer hook.Close()
	hook.Deliver(Alert{ID: "alert_1", Type: Budget, Threshold: 80, KeyID: "k", Used: 8, Limit: 10})
	for attempt := range 4 {
		got := <-requests
		var alert Alert
		if err := json.Unmarshal([]byte(got.body), &alert); err != nil || alert.ID != "alert_1" || alert.Threshold != 80 {
			t.Fatalf("attempt %d: %s", attempt, got.body)
		}
		sum := hmac.New(sha256.New, []byte("secret"))
		io.WriteString(sum, got.header.Get("Webhook-Id")+"."+got.header.Get("Webhook-Timestamp")+"."+got.body)
		if want := "v1," + base64.StdEncoding.EncodeToString(sum.Sum(nil)); got.header.Get("Webhook-Signature") != want {
			t.Errorf("signature %s, want %s", got.header.Get("Webhook-Signature"), want)
		}
	}
	hook.Deliver(Alert{ID: "alert_2"})
	if got := <-requests; !strings.Contains(got.body, "alert_2") {
		t.Errorf("after the delivery came %s", got.body)
	}
}

func TestAWebhookThatRefusesIsLeftInPeace(t *testing.T) {
	url, requests := receiver(t, 400)
	hook, err := NewWebhook(url, []byte("secret"), WithPause(time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	hook.Deliver(Alert{ID: "refused"})
	hook.Deliver(Alert{ID: "next"})
	first, second := <-requests, <-requests
	hook.Close()
	if !strings.Contains(first.body, "refused") || !strings.Contains(second.body, "next") || len(requests) != 0 {
		t.Errorf("%s then %s then %d more", first.body, second.body, len(requests))
	}
}

func TestAnUnreachableWebhookHoldsABoundedQueueAndNobodyUp(t *testing.T) {
	hook, err := NewWebhook("http://127.0.0.1:1/", []byte("secret"), WithPause(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	for range webhookQueue + 100 {
		hook.Deliver(Alert{ID: "x"})
	}
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("callers waited %s", took)
	}
	if len(hook.queue) > webhookQueue {
		t.Errorf("%d wait", len(hook.queue))
	}
	hook.Close()
}

func TestClosingDeliversWhatIsQueuedOrWaits(t *testing.T) {
	url, requests := receiver(t, 500)
	hook, err := NewWebhook(url, []byte("secret"), WithPause(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	hook.Deliver(Alert{ID: "stuck"}) // waits an hour for its second attempt
	<-requests
	hook.Deliver(Alert{ID: "queued"})
	hook.Close()
	for _, want := range []string{"stuck", "queued"} {
		if got := <-requests; !strings.Contains(got.body, want) {
			t.Errorf("at the end came %s, want %s", got.body, want)
		}
	}
}

func TestAWebhookNeedsAnAddressAndASecret(t *testing.T) {
	for _, c := range [][2]string{{"ftp://host/", "s"}, {"http://", "s"}, {"/path", "s"}, {"http://host/", ""}} {
		if hook, err := NewWebhook(c[0], []byte(c[1])); err == nil {
			hook.Close()
			t.Errorf("%v was accepted", c)
		}
	}
}

// The URL of many receivers is the secret.
func TestAnUnreachableWebhookDoesNotLogItsURL(t *testing.T) {
	listener := httptest.NewServer(nil)
	url := listener.URL
	listener.Close()
	var log bytes.Buffer
	hook, err := NewWebhook(url+"/services/T0KEN?key=S3CRET", []byte("secret"), WithPause(time.Microsecond),
		WithWebhookLogger(slog.New(slog.NewTextHandler(&log, nil))))
	if err != nil {
		t.Fatal(err)
	}
	hook.Deliver(Alert{ID: "alert_1"})
	hook.Close()
	if text := log.String(); !strings.Contains(text, "alert_1") || strings.Contains(text, "T0KEN") || strings.Contains(text, "S3CRET") {
		t.Errorf("the log says %s", text)
	}
}
