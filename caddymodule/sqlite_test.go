package caddymodule

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
)

func TestSecondProcessOnADirectoryRefusesToStart(t *testing.T) {
	if directory := os.Getenv(otherProcess); directory != "" {
		err := load(t, fmt.Sprintf("{\n\tpenstock {\n\t\tledger sqlite %s\n\t}\n}\n", directory))
		fmt.Println("second process:", err)
		return
	}
	g := start(t, "", "penstock")
	second := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
	second.Env = append(os.Environ(), otherProcess+"="+g.data)
	output, err := second.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, output)
	}
	if !strings.Contains(string(output), "another process has the ledger open") || !strings.Contains(string(output), g.data) {
		t.Errorf("the second process says %s", output)
	}
}
