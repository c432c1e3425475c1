// Package wire sends requests to one upstream over HTTP/1.1 and reads what it answers.
//
// It does what a gateway needs of net/http's Transport, and no more: requests whose body is
// in memory, over connections that are kept. In exchange a request costs no goroutine:
// the caller's writes it and reads the reply. Replies are read by net/http's own
// ReadResponse, so that what is a reply, and where it ends, is the same for both.
package wire
