package backup

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
)

// Checked is what a check of a backup, or of what was restored from it, found.
type Checked struct {
	Counts   Counts   // what was found; Files and Bytes are of those whose checksum was compared
	Problems []string // sentences, each names its file; none: all is right
}

func (c *Checked) problem(format string, args ...any) {
	c.Problems = append(c.Problems, fmt.Sprintf(format, args...))
}

// Verify reads a whole backup and compares it with its manifest: every file, every database's
// integrity and rows, and that nothing else is there. The error is about a folder that cannot be read.
func Verify(ctx context.Context, dir string) (Checked, error) {
	m, err := ReadManifest(dir)
	if err != nil {
		return Checked{}, err
	}
	return check(ctx, &m, filepath.Join(dir, filesName), nil)
}

// check compares a folder with a manifest. Files in changed have been altered or added on
// purpose: of databases among them the rows are compared.
func check(ctx context.Context, m *Manifest, root string, changed map[string]bool) (Checked, error) {
	var c Checked
	listed := map[string]bool{}
	for path := range changed {
		listed[path] = true
	}
	for _, f := range m.Files {
		if err := ctx.Err(); err != nil {
			return c, err
		}
		listed[f.Path] = true
		if !filepath.IsLocal(filepath.FromSlash(f.Path)) {
			c.problem("%s leads out of the backup", f.Path)
			continue
		}
		if !changed[f.Path] {
			c.file(root, f)
		}
	}
	for _, d := range m.databases() {
		if !listed[d.Path] {
			c.problem("%s: the manifest lists no such file", d.Path)
			continue
		}
		tables, err := c.database(ctx, root, d)
		if err != nil {
			return c, err
		}
		switch d {
		case m.Jobs:
			c.Counts.Jobs = tables["jobs"]
		case m.MLflow:
			c.Counts.Runs, c.Counts.Traces = tables["runs"], tables["trace_info"]
		}
	}
	c.consistent(m)
	return c, c.walk(root, m, listed)
}

func (c *Checked) file(root string, want File) {
	got, err := hashFile(filepath.Join(root, filepath.FromSlash(want.Path)))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		c.problem("%s is missing", want.Path)
		return
	case err != nil:
		c.problem("%s cannot be read: %v", want.Path, err)
		return
	case got.Size != want.Size:
		c.problem("%s has %d bytes instead of %d", want.Path, got.Size, want.Size)
	case got.SHA256 != want.SHA256:
		c.problem("%s has another content: its SHA-256 is %s instead of %s", want.Path, got.SHA256, want.SHA256)
	}
	c.Counts.Files++
	c.Counts.Bytes += got.Size
}

func (c *Checked) database(ctx context.Context, root string, want *Database) (map[string]int64, error) {
	got, err := inspect(ctx, filepath.Join(root, filepath.FromSlash(want.Path)))
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return nil, err
	}
	if err != nil {
		c.problem("%s cannot be read: %v", want.Path, err)
		return nil, nil
	}
	if got.Integrity != "ok" {
		c.problem("%s is damaged: %s", want.Path, got.Integrity)
	}
	if got.Schema != want.Schema {
		c.problem("%s has the schema version %s instead of %s", want.Path, got.Schema, want.Schema)
	}
	for _, table := range slices.Sorted(maps.Keys(want.Tables)) {
		if n, there := got.Tables[table]; !there || n != want.Tables[table] {
			have := "no such table"
			if there {
				have = strconv.FormatInt(n, 10) + " rows"
			}
			c.problem("%s, table %s: %s instead of %d rows", want.Path, table, have, want.Tables[table])
		}
	}
	for table := range got.Tables {
		if _, known := want.Tables[table]; !known {
			c.problem("%s has a table %s more", want.Path, table)
		}
	}
	return got.Tables, nil
}

// consistent compares the manifest with itself: its figures with its lists.
func (c *Checked) consistent(m *Manifest) {
	var artifacts, bytes int64
	for _, r := range m.Artifacts {
		artifacts += r.Files
	}
	for _, f := range m.Files {
		bytes += f.Size
	}
	if m.Counts.Artifacts != artifacts || m.Counts.Files != int64(len(m.Files)) || m.Counts.Bytes != bytes {
		c.problem("%s: its counts do not fit its lists", manifestName)
	}
}

// walk counts the artifacts and finds what the manifest does not list.
func (c *Checked) walk(root string, m *Manifest, listed map[string]bool) error {
	return filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return fmt.Errorf("read backup: %w", err)
		}
		rel, err := filepath.Rel(root, path)
		if err != nil || d.IsDir() {
			return err
		}
		rel = filepath.ToSlash(rel)
		if !listed[rel] {
			c.problem("%s is not in the manifest", rel)
		}
		if slices.ContainsFunc(m.Artifacts, func(r Root) bool { return inside(rel, r.Path) }) {
			c.Counts.Artifacts++
		}
		return nil
	})
}
