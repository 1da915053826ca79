// Package moduleroot lets generators of pages find the checkout that they run in.
package moduleroot

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// Find finds the folder of go.mod at or above the working directory.
func Find() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("find module root: %w", err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", errors.New("find module root: no go.mod at or above the working directory")
		}
		dir = parent
	}
}
