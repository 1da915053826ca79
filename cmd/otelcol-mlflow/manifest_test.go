package main

import (
	"bytes"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"
)

type module struct {
	GoMod  string `yaml:"gomod"`
	Import string `yaml:"import,omitempty"`
	Path   string `yaml:"path,omitempty"`
}

func (m module) path() string {
	if m.Import != "" {
		return m.Import
	}
	path, _, _ := strings.Cut(m.GoMod, " ")
	return path
}

type manifest struct {
	Dist       map[string]any `yaml:"dist"`
	Receivers  []module       `yaml:"receivers"`
	Processors []module       `yaml:"processors"`
	Exporters  []module       `yaml:"exporters"`
	Extensions []module       `yaml:"extensions"`
	Providers  []module       `yaml:"providers"`
}

func (m manifest) all() []module {
	return slices.Concat(m.Receivers, m.Processors, m.Exporters, m.Extensions, m.Providers)
}

func readManifest(t *testing.T) manifest {
	t.Helper()
	body, err := os.ReadFile("builder.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var m manifest
	if err := yaml.Unmarshal(body, &m); err != nil {
		t.Fatal(err)
	}
	return m
}

// The manifest for the builder lists what the hand-written main imports, in the versions
// of go.mod.
func TestManifestEqualsComponents(t *testing.T) {
	imported := map[string]bool{}
	for _, file := range []string{"components.go", "command.go"} {
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ImportsOnly)
		if err != nil {
			t.Fatal(err)
		}
		for _, i := range f.Imports {
			path, err := strconv.Unquote(i.Path.Value)
			if err != nil {
				t.Fatal(err)
			}
			for _, kind := range []string{"/receiver/", "/processor/", "/exporter/", "/extension/", "/provider/", "/mlflowexporter", "/samplingextension"} {
				if strings.Contains(path, kind) {
					imported[path] = true
				}
			}
		}
	}
	gomod, err := os.ReadFile(filepath.Join("..", "..", "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	listed := map[string]bool{}
	for _, m := range readManifest(t).all() {
		listed[m.path()] = true
		if m.Path == "" && !bytes.Contains(gomod, []byte("\t"+m.GoMod)) {
			t.Errorf("go.mod does not require %q", m.GoMod)
		}
	}
	if diff := cmp.Diff(listed, imported); diff != "" {
		t.Errorf("builder.yaml and the imports differ (-manifest +imports)\n%s", diff)
	}
}
