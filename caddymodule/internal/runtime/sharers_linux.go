package runtime

import (
	"net/netip"
	"os"
)

// Shared returns which addresses another process listens on too.
func Shared(addresses []netip.AddrPort) ([]netip.AddrPort, error) {
	var sockets []listening
	for _, table := range []string{"/proc/self/net/tcp", "/proc/self/net/tcp6"} {
		file, err := os.Open(table)
		if err != nil {
			return nil, err
		}
		found, err := listeners(file)
		file.Close()
		if err != nil {
			return nil, err
		}
		sockets = append(sockets, found...)
	}
	const descriptors = "/proc/self/fd/"
	entries, err := os.ReadDir(descriptors)
	if err != nil {
		return nil, err
	}
	own := make(map[string]bool, len(entries))
	for _, entry := range entries {
		if target, err := os.Readlink(descriptors + entry.Name()); err == nil { // else it was closed meanwhile
			own[target] = true
		}
	}
	return sharedWith(addresses, sockets, func(inode string) bool { return own["socket:["+inode+"]"] }), nil
}
