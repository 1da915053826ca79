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
	Replaces   []string       `yaml:"replaces,omitempty"`
}

func (m manifest) all() []module {
	return slices.Concat(m.Receivers, m.Processors, m.Exporters, m.Extensions, m.Providers)
}

func readManifest(t *testing.T, file string) manifest {
	t.Helper()
	body, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var m manifest
	if err := yaml.Unmarshal(body, &m); err != nil {
		t.Fatal(err)
	}
	return m
}

// A manifest for the builder lists what the Go code beside it imports, in the versions and
// with the replacements of its go.mod.
func TestManifestEqualsComponents(t *testing.T) {
	root := filepath.Join("..", "..")
	full := filepath.Join(root, "test", "routing")
	for _, c := range []struct {
		manifest, gomod string
		code            []string
	}{
		{"builder.yaml", filepath.Join(root, "go.mod"), []string{"components.go", "command.go"}},
		{"builder-full.yaml", filepath.Join(full, "go.mod"), []string{filepath.Join(full, "components_test.go"), filepath.Join(full, "collector_test.go")}},
	} {
		t.Run(c.manifest, func(t *testing.T) {
			gomod, err := os.ReadFile(c.gomod)
			if err != nil {
				t.Fatal(err)
			}
			m := readManifest(t, c.manifest)
			listed := map[string]bool{}
			for _, one := range m.all() {
				listed[one.path()] = true
				if one.Path == "" && !bytes.Contains(gomod, []byte("\t"+one.GoMod)) {
					t.Errorf("go.mod does not require %q", one.GoMod)
				}
			}
			if diff := cmp.Diff(listed, componentsImportedBy(t, c.code)); diff != "" {
				t.Errorf("the manifest and the imports differ (-manifest +imports)\n%s", diff)
			}
			for _, r := range m.Replaces {
				if !bytes.Contains(gomod, []byte("replace "+r)) {
					t.Errorf("go.mod does not replace %s", r)
				}
			}
		})
	}
}

func componentsImportedBy(t *testing.T, files []string) map[string]bool {
	t.Helper()
	imported := map[string]bool{}
	for _, file := range files {
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
	return imported
}

// Everything that the distribution has, the full one has too.
func TestFullDistributionHasAllOfTheDistribution(t *testing.T) {
	full := readManifest(t, "builder-full.yaml").all()
	for _, one := range readManifest(t, "builder.yaml").all() {
		if !slices.Contains(full, one) {
			t.Errorf("builder-full.yaml lacks %s", one.GoMod)
		}
	}
}
