//go:build !unix

package sqlitestore

import "testing"

// runAsNobody is for systems with a user whom permissions do not bind.
func runAsNobody(t *testing.T) { t.Fatal("there is no root here") }
