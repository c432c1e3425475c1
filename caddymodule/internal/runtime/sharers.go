package runtime

import (
	"bufio"
	"encoding/hex"
	"io"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// listening is a socket that waits for connections.
type listening struct {
	address netip.AddrPort
	inode   string
}

// sharedWith returns which of the wanted addresses a socket listens on that is not one's own.
// Two processes of one user can listen on one address, and the system gives each of them a
// part of the connections.
func sharedWith(wanted []netip.AddrPort, sockets []listening, own func(inode string) bool) []netip.AddrPort {
	var shared []netip.AddrPort
	for _, address := range wanted {
		if slices.ContainsFunc(sockets, func(s listening) bool { return overlap(address, s.address) && !own(s.inode) }) {
			shared = append(shared, address)
		}
	}
	return shared
}

// overlap reports whether a connection could go to either of two addresses.
func overlap(a, b netip.AddrPort) bool {
	one, other := a.Addr().Unmap(), b.Addr().Unmap()
	return a.Port() == b.Port() && (one == other || one.IsUnspecified() || other.IsUnspecified())
}

// listeners reads a table of sockets in the form of /proc/net/tcp and /proc/net/tcp6.
func listeners(table io.Reader) ([]listening, error) {
	const (
		localField, stateField, inodeField = 1, 3, 9
		listens                            = "0A"
	)
	var found []listening
	lines := bufio.NewScanner(table)
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) <= inodeField || fields[stateField] != listens {
			continue
		}
		if address, ok := socketAddress(fields[localField]); ok {
			found = append(found, listening{address, fields[inodeField]})
		}
	}
	return found, lines.Err()
}

// socketAddress reads an address such as 0100007F:1F90: words of 4 bytes, each with its last
// byte first, and the port.
func socketAddress(text string) (netip.AddrPort, bool) {
	host, port, _ := strings.Cut(text, ":")
	raw, err := hex.DecodeString(host)
	if err != nil || len(raw)%4 != 0 {
		return netip.AddrPort{}, false
	}
	for word := range slices.Chunk(raw, 4) {
		slices.Reverse(word)
	}
	address, ok := netip.AddrFromSlice(raw)
	number, err := strconv.ParseUint(port, 16, 16)
	return netip.AddrPortFrom(address, uint16(number)), ok && err == nil
}
