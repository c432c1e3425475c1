package alerts

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

const (
	webhookQueue    = 1000
	webhookTimeout  = 10 * time.Second
	webhookAttempts = 8 // the last one about two minutes after the first
	firstPause      = time.Second
)

// Webhook posts alerts as JSON to a URL. Requests are signed as the Standard
// Webhooks specification says: the headers webhook-id, webhook-timestamp and
// webhook-signature, where the signature is HMAC-SHA256 over
// "id.timestamp.body". Alerts wait in a bounded queue. One that the receiver does not
// answer with 2xx is tried again, unless it was refused for good (4xx).
type Webhook struct {
	url    string
	secret []byte
	client *http.Client
	now    func() time.Time
	pause  time.Duration
	logger *slog.Logger
	queue  chan Alert
	stop   context.CancelFunc
	done   chan struct{}
}

// WebhookOption changes a Webhook.
type WebhookOption func(*Webhook)

// WithClient sets the HTTP client. The default follows no redirects.
func WithClient(client *http.Client) WebhookOption {
	return func(w *Webhook) { w.client = client }
}

// WithPause sets how long to wait before the second attempt; each further wait is
// twice as long. The default is one second.
func WithPause(pause time.Duration) WebhookOption {
	return func(w *Webhook) { w.pause = pause }
}

// WithWebhookLogger sets where failed deliveries are written.
func WithWebhookLogger(logger *slog.Logger) WebhookOption {
	return func(w *Webhook) { w.logger = logger }
}

// NewWebhook returns a running webhook. Close ends it. The secret signs the
// requests and must not be empty.
func NewWebhook(target string, secret []byte, options ...WebhookOption) (*Webhook, error) {
	parsed, err := url.Parse(target)
	if err != nil || parsed.Host == "" || parsed.Scheme != "http" && parsed.Scheme != "https" {
		return nil, errors.New("webhook: not an http or https URL")
	}
	if len(secret) == 0 {
		return nil, errors.New("webhook: a secret is required")
	}
	w := &Webhook{
		url: target, secret: secret, now: time.Now, pause: firstPause, logger: slog.New(slog.DiscardHandler),
		client: &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }},
		queue:  make(chan Alert, webhookQueue), done: make(chan struct{}),
	}
	for _, option := range options {
		option(w)
	}
	ctx, stop := context.WithCancel(context.Background())
	w.stop = stop
	go w.run(ctx)
	return w, nil
}

// Deliver implements Sink. A full queue drops the alert and says so in the log.
func (w *Webhook) Deliver(alert Alert) {
	select {
	case w.queue <- alert:
	default:
		w.logger.Error("the webhook's queue is full, an alert was dropped", slog.String("alert", alert.ID))
	}
}

// Close finishes the attempt that is under way, makes one for each alert that is still
// queued or waits for another attempt, and ends the webhook. Each of the two steps takes
// ten seconds at most.
func (w *Webhook) Close() {
	w.stop()
	<-w.done
}

func (w *Webhook) run(ctx context.Context) {
	defer close(w.done)
	for {
		select {
		case alert := <-w.queue:
			if ctx.Err() != nil { // both were ready, and select picked the queue
				w.drain(alert)
				return
			}
			w.deliver(ctx, alert)
		case <-ctx.Done():
			w.drain()
			return
		}
	}
}

// drain makes one attempt for each alert that is still queued.
func (w *Webhook) drain(queued ...Alert) {
	for len(w.queue) > 0 {
		queued = append(queued, <-w.queue)
	}
	ctx, cancel := context.WithTimeout(context.Background(), webhookTimeout)
	defer cancel()
	for _, alert := range queued {
		body, err := json.Marshal(alert)
		if err == nil {
			_, err = w.post(ctx, alert.ID, body)
		}
		if err != nil {
			w.logger.Error("an alert was not delivered before the webhook closed", slog.String("alert", alert.ID), slog.Any("error", err))
		}
	}
}

// deliver tries until the receiver has the alert, refuses it, or attempts run out.
func (w *Webhook) deliver(ctx context.Context, alert Alert) {
	body, err := json.Marshal(alert)
	if err != nil {
		w.logger.Error("could not encode an alert", slog.Any("error", err))
		return
	}
	pause := w.pause
	for attempt := 1; ; attempt++ {
		// Close lets an attempt that is under way finish: the receiver must not get half of it.
		again, err := w.post(context.WithoutCancel(ctx), alert.ID, body)
		if err == nil {
			return
		}
		if !again || attempt == webhookAttempts {
			w.logger.Error("an alert was not delivered", slog.String("alert", alert.ID), slog.Int("attempts", attempt),
				slog.Any("error", err))
			return
		}
		select {
		case <-time.After(pause):
			pause *= 2
		case <-ctx.Done():
			w.drain(alert)
			return
		}
	}
}

// post makes one attempt. again tells whether another may succeed.
func (w *Webhook) post(ctx context.Context, id string, body []byte) (again bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, webhookTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, w.url, bytes.NewReader(body))
	if err != nil {
		return false, err
	}
	timestamp := strconv.FormatInt(w.now().Unix(), 10)
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Webhook-Id", id)
	request.Header.Set("Webhook-Timestamp", timestamp)
	request.Header.Set("Webhook-Signature", "v1,"+w.sign(id, timestamp, body))
	response, err := w.client.Do(request)
	if err != nil {
		// The error quotes the URL, and for many receivers the path is the secret.
		var quoting *url.Error
		if errors.As(err, &quoting) {
			err = quoting.Err
		}
		return true, err
	}
	defer response.Body.Close()
	// A connection can be used again only if its reply was read.
	_, _ = io.CopyN(io.Discard, response.Body, 4096)
	if response.StatusCode/100 == 2 {
		return false, nil
	}
	refused := response.StatusCode/100 == 4 && response.StatusCode != http.StatusRequestTimeout &&
		response.StatusCode != http.StatusTooManyRequests
	return !refused, fmt.Errorf("the webhook answered %d", response.StatusCode)
}

func (w *Webhook) sign(id, timestamp string, body []byte) string {
	sum := hmac.New(sha256.New, w.secret)
	fmt.Fprintf(sum, "%s.%s.", id, timestamp)
	sum.Write(body)
	return base64.StdEncoding.EncodeToString(sum.Sum(nil))
}
