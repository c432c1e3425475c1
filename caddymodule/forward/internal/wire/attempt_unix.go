//go:build unix

package wire

import (
	"errors"
	"syscall"
)

// Supported says that the system can do what the package needs.
const Supported = true

// attempt is one system call on a connection that does not wait.
type attempt struct {
	bytes []byte
	first [1]byte
	n     int
	err   error
}

// errNoSystemConnection says that a connection is not one of the operating system.
var errNoSystemConnection = errors.New("not a connection of the operating system")

// bind prepares the functions for system calls, so that calls need not allocate them.
func (c *connection) bind() error {
	system, ok := c.Conn.(syscall.Conn)
	if !ok {
		return errNoSystemConnection
	}
	var err error
	if c.raw, err = system.SyscallConn(); err != nil {
		return err
	}
	c.writing = func(descriptor uintptr) bool {
		c.one.n, c.one.err = retry(syscall.Write, descriptor, c.one.bytes)
		return true
	}
	c.peeking = func(descriptor uintptr) bool {
		c.one.n, c.one.err = retry(syscall.Read, descriptor, c.one.first[:])
		return true
	}
	return nil
}

// retry makes a system call until no signal interrupts it.
func retry(call func(int, []byte) (int, error), descriptor uintptr, bytes []byte) (int, error) {
	for {
		n, err := call(int(descriptor), bytes)
		if !errors.Is(err, syscall.EINTR) {
			return n, err
		}
	}
}

// quiet says that an idle connection is open and that nothing has come which belongs to
// no request. It takes a byte if there is one: then nobody may use the connection.
func (c *connection) quiet() bool {
	if err := c.raw.Read(c.peeking); err != nil {
		return false
	}
	return c.wouldWait()
}

// wouldWait says that the last attempt had to wait for the other side.
func (c *connection) wouldWait() bool {
	return errors.Is(c.one.err, syscall.EAGAIN) || errors.Is(c.one.err, syscall.EWOULDBLOCK)
}

// writeNow writes what the system takes without waiting.
func (c *connection) writeNow(bytes []byte) (int, error) {
	c.one.bytes = bytes
	err := c.raw.Write(c.writing)
	c.one.bytes = nil
	if err != nil {
		return 0, err
	}
	n := max(c.one.n, 0)
	if c.wouldWait() {
		return n, nil
	}
	return n, c.one.err
}
