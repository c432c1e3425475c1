package runtime

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/penstockhq/penstock/internal/testkit"
	"github.com/penstockhq/penstock/limiter/redisstore"
)

func TestTheLimiterOfSettingsCountsInRedis(t *testing.T) {
	server := testkit.StartRedis(t)
	settings := Settings{Zone: time.UTC, Redis: Redis{Addresses: server.Socket, Prefix: "gateways", Timeout: time.Second}}
	store, err := settings.Redis.open(t.Context(), &settings, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	metrics, registry := newSharedMetrics(), prometheus.NewRegistry()
	registry.MustRegister(metrics)
	gather := func() map[string]float64 {
		families, err := registry.Gather()
		if err != nil {
			t.Fatal(err)
		}
		values := make(map[string]float64)
		for _, family := range families {
			values[family.GetName()] = family.Metric[0].GetGauge().GetValue()
		}
		return values
	}
	if values := gather(); len(values) != 0 {
		t.Errorf("without Redis there are the metrics %v", values)
	}
	metrics.store.Store(store)
	if values := gather(); len(values) != 4 || values["penstock_limiter_redis_up"] != 1 {
		t.Errorf("the metrics are %v", values)
	}

	// Another gateway that holds tokens differently would count wrongly.
	settings.Strict = true
	if _, err := settings.Redis.open(t.Context(), &settings, slog.New(slog.DiscardHandler)); !errors.Is(err, redisstore.ErrUnfit) {
		t.Errorf("other settings under the same prefix give %v", err)
	}
}

func TestCertificatesToTrustAreRead(t *testing.T) {
	name := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(name, []byte("no certificate"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, r := range []Redis{{TLS: true, CA: name}, {TLS: true, CA: name + "?"}} {
		if _, err := r.tls(); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s gives %v", r.CA, err)
		}
	}
	if config, err := (&Redis{TLS: true}).tls(); err != nil || config == nil || config.RootCAs != nil {
		t.Errorf("%v, %v", config, err)
	}
	if config, err := (&Redis{}).tls(); err != nil || config != nil {
		t.Errorf("%v, %v", config, err)
	}
}
