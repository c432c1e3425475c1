package ledger_test

import (
	"testing"

	"github.com/penstockhq/penstock/ledger"
)

// BenchmarkHoldsKey looks for keys in the headers of a usual request, as the gate does
// with every call.
func BenchmarkHoldsKey(b *testing.B) {
	headers := []string{
		"OpenAI/Python 1.99.1", "application/json", "gzip, deflate, br, zstd", "x86_64", "Linux", "AsyncOpenAI",
		"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "no-cache", "CPython", "3.12.3", "keep-alive", "*/*",
		"https://example.com/app/chat?session=4f2b",
	}
	b.ReportAllocs()
	for b.Loop() {
		for _, header := range headers {
			if ledger.HoldsKey(header) {
				b.Fatal("none of them is a key")
			}
		}
	}
}
