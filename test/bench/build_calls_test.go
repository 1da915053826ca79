//go:build linux

package main

import (
	"bytes"
	"errors"
	"go/ast"
	"go/build"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// notWatched are functions of internal/telemetry that add nothing to a job's goroutine, or nothing
// that can be measured.
var notWatched = map[string]string{
	"Detail.Recording":     "a comparison with nil",
	"Transport":            "once, when the worker starts; what a request takes is counted in transport.go",
	"SlackTransport":       "likewise",
	"Description.Set":      "beside the work of the stage",
	"Description.SetArray": "likewise",
	"Description.Mask":     "likewise",
}

// TestEveryCallOfTelemetryIsWatched: what a job calls and nobody measures would be missing in what
// telemetry adds to it.
func TestEveryCallOfTelemetryIsWatched(t *testing.T) {
	top, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	known := maps.Clone(notWatched)
	for file, parts := range watched {
		if filepath.Dir(file) != "internal/telemetry" {
			continue
		}
		for part, functions := range parts {
			for _, f := range functions {
				known[f] = part
			}
		}
	}
	called := telemetryCalls(t, top, "pipeline", "analysis", "retrieval", "slack")
	for f, where := range called {
		if known[f] == "" {
			t.Errorf("%s calls telemetry's %s, whose time is not counted", where, f)
		}
	}
	for f := range notWatched {
		if called[f] == "" && f != "SlackTransport" { // the command calls that one
			t.Errorf("nothing calls %s any more", f)
		}
	}
}

// telemetryCalls are the functions of internal/telemetry, as nameOf has them, that packages of
// internal use, each with a place where one does.
func telemetryCalls(t *testing.T, top string, packages ...string) map[string]string {
	t.Helper()
	const module = "github.com/technoshare/commentator/internal/"
	list := []string{"list", "-export", "-deps", "-f", "{{.ImportPath}}\t{{.Export}}"}
	for _, p := range packages {
		list = append(list, module+p)
	}
	var why bytes.Buffer
	cmd := exec.CommandContext(t.Context(), "go", list...)
	cmd.Dir, cmd.Stderr = top, &why
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("list packages: %v\n%s", err, &why)
	}
	exports := map[string]string{}
	for line := range strings.Lines(string(out)) {
		path, file, _ := strings.Cut(strings.TrimSpace(line), "\t")
		exports[path] = file
	}
	set := token.NewFileSet()
	check := types.Config{Importer: importer.ForCompiler(set, "gc", func(path string) (io.ReadCloser, error) {
		if exports[path] == "" {
			return nil, errors.New("nothing is exported by " + path)
		}
		return os.Open(exports[path])
	})}
	calls := map[string]string{}
	for _, p := range packages {
		names, err := filepath.Glob(filepath.Join(top, "internal", p, "*.go"))
		if err != nil {
			t.Fatal(err)
		}
		var files []*ast.File
		for _, name := range names {
			here, err := build.Default.MatchFile(filepath.Split(name))
			if err != nil {
				t.Fatal(err)
			}
			if !here || strings.HasSuffix(name, "_test.go") {
				continue
			}
			f, err := parser.ParseFile(set, name, nil, 0)
			if err != nil {
				t.Fatal(err)
			}
			files = append(files, f)
		}
		info := types.Info{Uses: map[*ast.Ident]types.Object{}}
		if _, err := check.Check(module+p, set, files, &info); err != nil {
			t.Fatalf("check %s: %v", p, err)
		}
		for id, used := range info.Uses {
			if f, ok := used.(*types.Func); ok && f.Pkg() != nil && f.Pkg().Path() == module+"telemetry" {
				at := set.Position(id.Pos())
				calls[methodName(f)] = p + "/" + filepath.Base(at.Filename)
			}
		}
	}
	return calls
}

// methodName is nameOf of a function that has been looked up.
func methodName(f *types.Func) string {
	recv := f.Signature().Recv()
	if recv == nil {
		return f.Name()
	}
	of := recv.Type()
	if p, ok := of.(*types.Pointer); ok {
		of = p.Elem()
	}
	if named, ok := of.(*types.Named); ok {
		return named.Obj().Name() + "." + f.Name()
	}
	return f.Name()
}
