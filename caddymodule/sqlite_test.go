package caddymodule

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	goruntime "runtime"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
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

func TestADirectoryThatCannotBeMadeIsRefusedBeforeTheStart(t *testing.T) {
	folder := t.TempDir()
	file := filepath.Join(folder, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	validate := func(directory string) error {
		t.Helper()
		var config caddy.Config
		if err := json.Unmarshal(toJSON(t, fmt.Sprintf("{\n\tpenstock {\n\t\tledger sqlite %s\n\t}\n}\n", directory)), &config); err != nil {
			t.Fatal(err)
		}
		return caddy.Validate(&config)
	}
	for _, directory := range []string{file, filepath.Join(file, "below"), filepath.Join(file, "deep", "below", "l.db")} {
		if err := validate(directory); err == nil || !strings.Contains(err.Error(), "cannot be made: "+file+" is a file") {
			t.Errorf("%s: %v", directory, err)
		}
	}
	for _, directory := range []string{folder, filepath.Join(folder, "new", "deep"), filepath.Join(folder, "l.db")} {
		if err := validate(directory); err != nil {
			t.Errorf("%s: %v", directory, err)
		}
	}
	if files, _ := os.ReadDir(folder); len(files) != 1 {
		t.Errorf("checking a configuration made %v", files)
	}
}

func TestASecondInstanceOnTheSameAddressIsWarnedOf(t *testing.T) {
	if address := os.Getenv(otherProcess); address != "" {
		logged := loadWithLog(t, fmt.Sprintf("{\n\t%%LOG%%\n\tpenstock {\n\t\tledger sqlite %s\n\t}\n}\nhttp://%s {\n\tpenstock\n}\n", t.TempDir(), address))
		fmt.Println("second instance:", logged)
		return
	}
	if goruntime.GOOS != "linux" {
		t.Skip("only Linux tells who listens where")
	}
	g := start(t, "", "penstock")
	second := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
	second.Env = append(os.Environ(), otherProcess+"="+g.address)
	output, err := second.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, output)
	}
	if !strings.Contains(string(output), "another process listens on this address too") {
		t.Errorf("the second instance says %s", output)
	}
}
