package evaluation

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/technoshare/commentator/internal/wholefile"
)

// EditDataset reads a dataset to change it; where there is none it begins an empty one.
func EditDataset(path string, themes []string) (*Dataset, error) {
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return &Dataset{Version: "1", Evidence: defaultEvidence, path: path, changed: map[string]bool{}}, nil
	}
	d, err := LoadDataset(path, themes)
	if err != nil {
		return nil, err
	}
	d.changed = map[string]bool{}
	return d, nil
}

// Put adds an example with its evidence, or takes the place of the one with the same id.
func (d *Dataset) Put(e Example) {
	if e.Tags == nil {
		e.Tags = []string{}
	}
	d.changed[e.ID] = true
	if i := slices.IndexFunc(d.Examples, func(o Example) bool { return o.ID == e.ID }); i >= 0 {
		d.Examples[i] = e
		return
	}
	d.Examples = append(d.Examples, e)
}

// Save writes the evidence of what was put, then the dataset, each file whole or not at all.
func (d *Dataset) Save() error {
	for _, e := range d.Examples {
		if d.changed[e.ID] {
			if err := writeJSON(d.EvidencePath(e.ID), e.Recorded); err != nil {
				return fmt.Errorf("write evidence of example %s: %w", e.ID, err)
			}
		}
	}
	if err := writeJSON(d.path, d); err != nil {
		return fmt.Errorf("write dataset: %w", err)
	}
	return nil
}

func writeJSON(path string, v any) error {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(v); err != nil {
		return err
	}
	return writeFile(path, b.Bytes())
}

// CheckWritable returns an error when results could not be saved under a name, whose folder it makes.
func CheckWritable(path string) error {
	if at, err := os.Stat(path); err == nil && at.IsDir() {
		return fmt.Errorf("%s is a folder", path)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	if err := wholefile.CheckFolder(filepath.Dir(path)); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}

// writeFile writes a file whole or not at all.
func writeFile(path string, content []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return wholefile.Write(path, content, 0o644)
}
