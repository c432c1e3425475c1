// Package middleware puts a gate in front of an http.Handler that serves
// models: it knows callers by API key, holds them to exact limits, reserves and
// charges credits, and meters what passes. It is plain net/http.
package middleware
