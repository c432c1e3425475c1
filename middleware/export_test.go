package middleware

import "time"

// WithWatchEvery lets tests look after streams more often.
func WithWatchEvery(pause time.Duration) Option { return func(g *Gate) { g.watchEvery = pause } }
