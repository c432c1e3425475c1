// Package forward forwards calls to upstreams: http.handlers.penstock_forward, which stands
// before a reverse_proxy of Caddy and takes the calls that are plain from it.
package forward
