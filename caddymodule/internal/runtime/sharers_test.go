package runtime

import (
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
)

const socketTable = `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 11 1 0000000000000000 100 0 0 10 0
   1: 00000000:0050 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 12 1 0000000000000000 100 0 0 10 0
   2: 0100007F:1F91 0100007F:C000 01 00000000:00000000 00:00000000 00000000     0        0 13 1 0000000000000000 100 0 0 10 0
   3: 00000000000000000000000001000000:01BB 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 14 1 0000000000000000 100 0 0 10 0
   4: broken
`

func TestAnAddressIsSharedIfAnotherProcessListensThere(t *testing.T) {
	sockets, err := listeners(strings.NewReader(socketTable))
	if err != nil || len(sockets) != 3 {
		t.Fatalf("%v, %v", sockets, err)
	}
	if got := sockets[2].address.String(); got != "[::1]:443" {
		t.Errorf("the address of version 6 is read as %s", got)
	}
	own := func(inode string) bool { return inode == "12" }
	for text, want := range map[string]bool{
		"127.0.0.1:8080": true, "0.0.0.0:8080": true, "[::]:8080": true, "10.0.0.1:8080": false,
		"0.0.0.0:80":     false, // our own
		"127.0.0.1:8081": false, // a connection, which does not listen
		"[::1]:443":      true,
	} {
		wanted := []netip.AddrPort{netip.MustParseAddrPort(text)}
		if got := len(sharedWith(wanted, sockets, own)) == 1; got != want {
			t.Errorf("%s is shared: %t, want %t", text, got, want)
		}
	}
}

func TestOnesOwnListenersAreNotShared(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	address := listener.Addr().(*net.TCPAddr).AddrPort()
	if shared, err := Shared([]netip.AddrPort{address}); err != nil || slices.Contains(shared, address) {
		t.Errorf("our own address counts as shared: %v, %v", shared, err)
	}
}
