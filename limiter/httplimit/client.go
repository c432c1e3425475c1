package httplimit

import (
	"net/http"
	"net/netip"
	"strings"
)

// sharedBits is the size of the network that a household or a server has in IPv6: a
// limit for single addresses would be none.
const sharedBits = 64

// ByAddress names a client by the address of its connection; of IPv6 by the first 64 bits.
// Behind a proxy all clients have the proxy's address: use [ByForwarded] there.
func ByAddress(r *http.Request) string { return network(peer(r)) }

// ByForwarded returns a function that names a client by X-Forwarded-For, as far as it was
// written by trusted proxies: the last address in it that is none of theirs. A connection
// that does not come from a trusted proxy has its own address, whatever it claims.
func ByForwarded(trusted ...netip.Prefix) func(*http.Request) string {
	isTrusted := func(address netip.Addr) bool {
		for _, proxies := range trusted {
			if proxies.Contains(address) {
				return true
			}
		}
		return false
	}
	return func(r *http.Request) string {
		client := peer(r)
		hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
		for i := len(hops) - 1; i >= 0 && isTrusted(client); i-- {
			address, err := netip.ParseAddr(strings.TrimSpace(hops[i]))
			if err != nil {
				break // whoever wrote it, the proxy after it is known
			}
			client = address.Unmap().WithZone("")
		}
		return network(client)
	}
}

// peer returns the address at the other end of the connection. It is invalid for a
// connection without one, such as a Unix socket.
func peer(r *http.Request) netip.Addr {
	address, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	return address.Addr().Unmap().WithZone("")
}

// network writes an address, or the network that its owner has; nothing for none.
func network(address netip.Addr) string {
	if !address.IsValid() {
		return ""
	}
	if address.Is6() {
		return netip.PrefixFrom(address, sharedBits).Masked().String()
	}
	return address.String()
}
