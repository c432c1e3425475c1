package bench

import (
	"time"
	_ "unsafe" // for go:linkname

	_ "github.com/mholt/caddy-ratelimit"
)

// caddy-ratelimit exports its HTTP handler alone. To compare limiters and not
// HTTP, its map of rings is called directly, past the handler.

type caddyMap struct{}

type caddyRing struct{}

//go:linkname newCaddyMap github.com/mholt/caddy-ratelimit.newRateLimiterMap
func newCaddyMap() *caddyMap

//go:linkname caddyGetOrInsert github.com/mholt/caddy-ratelimit.(*rateLimitersMap).getOrInsert
func caddyGetOrInsert(m *caddyMap, key string, maxEvents int, window time.Duration) *caddyRing

//go:linkname caddyWhen github.com/mholt/caddy-ratelimit.(*ringBufferRateLimiter).When
func caddyWhen(r *caddyRing) time.Duration
