package console

import (
	"errors"
	"net"
	"testing"
)

func TestAClosedPipeTakesNoConnection(t *testing.T) {
	pipe := newPipeListener()
	if err := pipe.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := pipe.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("accepting gives %v", err)
	}
	if _, err := pipe.dial(t.Context(), "", ""); !errors.Is(err, net.ErrClosed) {
		t.Errorf("dialling gives %v", err)
	}
}
