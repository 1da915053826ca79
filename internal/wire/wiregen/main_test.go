package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/technoshare/commentator/internal/moduleroot"
)

func TestPageIsCurrent(t *testing.T) {
	root, err := moduleroot.Find()
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(filepath.Join(root, "docs", "WIRE.md"))
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != page() {
		t.Error("docs/WIRE.md is not what the catalog says: run go run ./internal/wire/wiregen")
	}
}
