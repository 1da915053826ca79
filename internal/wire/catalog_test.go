package wire_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/technoshare/commentator/internal/wire"
)

// kindOf maps the prefix of a constant in names.go to its kind.
var kindOf = []struct {
	prefix string
	kind   wire.Kind
}{
	{"Span", wire.KindSpan},
	{"Res", wire.KindResource},
	{"Attr", wire.KindAttr},
	{"Event", wire.KindEvent},
	{"Artifact", wire.KindArtifact},
	{"Metric", wire.KindMetric},
	{"Tag", wire.KindTag},
	{"Detail", wire.KindValue},
	{"Tier", wire.KindValue},
	{"Repair", wire.KindValue},
	{"Source", wire.KindValue},
	{"Evaluation", wire.KindValue},
	{"RunType", wire.KindValue},
	{"RunKind", wire.KindValue},
}

// notNames are constants of names.go that name nothing on the wire.
var notNames = map[string]bool{"SchemaURL": true, "ScopeName": true, "LogTraceID": true}

type kindAndName struct {
	kind wire.Kind
	name string
}

// constants parses names.go: kind and value of each constant.
func constants(t *testing.T) map[kindAndName]string {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "names.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	found := map[kindAndName]string{}
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok || len(spec.Values) != 1 || notNames[spec.Names[0].Name] {
			return true
		}
		literal, ok := spec.Values[0].(*ast.BasicLit)
		if !ok {
			return true
		}
		value, err := strconv.Unquote(literal.Value)
		if err != nil {
			t.Fatal(err)
		}
		ident := spec.Names[0].Name
		for _, k := range kindOf {
			if strings.HasPrefix(ident, k.prefix) {
				found[kindAndName{k.kind, value}] = ident
				return true
			}
		}
		t.Errorf("constant %s of names.go has a prefix without a kind", ident)
		return true
	})
	return found
}

func TestCatalogHoldsEveryConstantAndNothingElse(t *testing.T) {
	consts := constants(t)
	listed := map[kindAndName]bool{}
	for _, e := range wire.Catalog() {
		key := kindAndName{e.Kind, e.Name}
		if listed[key] && e.Kind != wire.KindValue {
			t.Errorf("%s %q is listed twice", e.Kind, e.Name)
		}
		listed[key] = true
		switch e.Kind {
		case wire.KindParam, wire.KindRunValue, wire.KindTraceTag:
			continue // named by the exporter's default mapping, not by a constant
		case wire.KindTag:
			if !strings.HasPrefix(e.Name, "otel.") && !strings.HasPrefix(e.Name, "artifacts.") {
				continue
			}
		}
		if _, ok := consts[key]; !ok {
			t.Errorf("%s %q has no constant in names.go", e.Kind, e.Name)
		}
	}
	for key, ident := range consts {
		if !listed[key] {
			t.Errorf("constant %s = %q is not in the catalog", ident, key.name)
		}
	}
}

func TestCatalogEntriesAreComplete(t *testing.T) {
	for _, e := range wire.Catalog() {
		if e.Type == "" || e.From == "" || !strings.HasSuffix(e.Meaning, ".") {
			t.Errorf("%s %q lacks a type, a producer or a full sentence", e.Kind, e.Name)
		}
		if e.Test == "" && !e.Later {
			t.Errorf("%s %q is pinned by no test", e.Kind, e.Name)
		}
	}
}

var testFunc = regexp.MustCompile(`(?m)^func (Test\w+)\(`)

func TestCatalogNamesTestsThatExist(t *testing.T) {
	exists := map[string]bool{}
	err := filepath.WalkDir("../..", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && strings.HasPrefix(d.Name(), ".") && d.Name() != ".." {
			return fs.SkipDir
		}
		if !strings.HasSuffix(path, "_test.go") {
			return nil
		}
		source, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for _, m := range testFunc.FindAllSubmatch(source, -1) {
			exists[string(m[1])] = true
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range wire.Catalog() {
		if e.Test != "" && !exists[e.Test] {
			t.Errorf("%s %q: test %s does not exist", e.Kind, e.Name, e.Test)
		}
	}
}
