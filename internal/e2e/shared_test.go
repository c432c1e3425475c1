package e2e

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/penstockhq/penstock/internal/testkit"
)

// sharing returns a gateway whose limits are in Redis.
func sharing(t *testing.T, redis *testkit.Redis) *instance {
	i := exampleInstance(t, func(config string) string {
		return strings.Replace(config, "\tpenstock {\n", fmt.Sprintf(`	metrics
	penstock {
		limiter {
			redis %s {
				password {env.PENSTOCK_TEST_REDIS_PASSWORD}
				timeout 1s
			}
		}
`, redis.Socket), 1)
	})
	i.start()
	return i
}

func TestGatewaysThatShareRedisHoldAKeyToItsLimitsTogether(t *testing.T) {
	const password, text, limit = "hunter2-of-redis", "sk-the-same-key-at-both-gateways", 6
	t.Setenv("PENSTOCK_TEST_REDIS_PASSWORD", password)
	redis := testkit.StartRedis(t, "--requirepass", password)
	gateways := []*instance{sharing(t, redis), sharing(t, redis)}
	sum := sha256.Sum256([]byte(text))
	for _, i := range gateways {
		body := fmt.Sprintf(`{"name":"shared","owner":"demo","sha256":%q,"limits":{"rpm":%d}}`, hex.EncodeToString(sum[:]), limit)
		if answer := i.call("POST", "/admin/v1/keys/import", i.key("admin"), body); answer.status != 201 {
			t.Fatalf("importing a key: %d %s", answer.status, answer.body)
		}
	}

	var mutex sync.Mutex
	statuses := make(map[int]int)
	var group sync.WaitGroup
	for n := range 2 * limit {
		group.Go(func() {
			answer, err := gateways[n%2].try("POST", "/v1/chat/completions", text, chatBody)
			mutex.Lock()
			defer mutex.Unlock()
			if statuses[answer.status]++; err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	if statuses[200] != limit || statuses[429] != limit {
		t.Errorf("of %d calls at two gateways there are, by status, %v; want %d of 200 and the others refused", 2*limit, statuses, limit)
	}
	for _, i := range gateways {
		if explained := i.call("GET", "/admin/v1/explain?model=tiny", text, ""); !strings.Contains(explained.body, fmt.Sprintf(`"used":%d`, limit)) {
			t.Errorf("a gateway explains %s", explained.body)
		}
	}

	i := gateways[0]
	expect := func(up, health string, status int) {
		t.Helper()
		for start := time.Now(); ; time.Sleep(50 * time.Millisecond) {
			i.call("POST", "/v1/chat/completions", i.key("demo"), chatBody)
			answer, metrics := i.call("GET", "/health", "", ""), i.metrics()
			if answer.status == status && strings.Contains(answer.body, health) && strings.Contains(metrics, "\npenstock_limiter_redis_up "+up+"\n") {
				return
			}
			if time.Since(start) > 20*time.Second {
				t.Fatalf("the health is %d %s; want %d %s", answer.status, answer.body, status, health)
			}
		}
	}
	expect("1", `"ok"`, 200)
	redis.Kill()
	expect("0", `"limiter_unavailable"`, 503)
	if answer := i.call("POST", "/v1/chat/completions", i.key("demo"), chatBody); answer.status != 503 || !strings.Contains(answer.body, "retry") {
		t.Errorf("without Redis a call gets %d %s", answer.status, answer.body)
	}
	redis.Start()
	expect("1", `"ok"`, 200)
	if answer := i.call("POST", "/v1/chat/completions", i.key("demo"), chatBody); answer.status != 200 {
		t.Errorf("with Redis again a call gets %d %s", answer.status, answer.body)
	}
	for _, i := range gateways {
		i.stop()
		if log := i.log.String(); strings.Contains(log, password) || strings.Contains(log, text) {
			t.Error("the log holds a secret")
		}
	}
}

// metrics returns what the instance tells Prometheus.
func (i *instance) metrics() string {
	i.t.Helper()
	response, err := http.Get("http://" + i.admin + "/metrics")
	if err != nil {
		i.t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		i.t.Fatal(err)
	}
	return string(body)
}

func TestAGatewayWithAWrongRedisPasswordSaysSoAndEnds(t *testing.T) {
	const password = "hunter2-of-nobody"
	redis := testkit.StartRedis(t, "--requirepass", "another")
	i := exampleInstance(t, func(config string) string {
		return strings.Replace(config, "\tpenstock {\n", "\tpenstock {\n\t\tlimiter {\n\t\t\tredis "+redis.Socket+" {\n\t\t\t\tpassword "+password+"\n\t\t\t}\n\t\t}\n", 1)
	})
	out, err := i.run("run", "--config", i.config, "--adapter", "caddyfile")
	if err == nil || !strings.Contains(out, "the username or the password is wrong") || strings.Contains(out, password) {
		t.Errorf("%v\n%s", err, strings.ReplaceAll(out, password, "[the password]"))
	}
}
