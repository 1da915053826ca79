package telemetry

import (
	"context"
	"encoding/json"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/trace"

	"github.com/technoshare/commentator/internal/commentator"
	"github.com/technoshare/commentator/internal/redact"
	"github.com/technoshare/commentator/internal/wire"
)

// guarded is what only record.go may name: every way to get a text into a span, a
// measurement or the resource, and the types that say that a text was masked.
var guarded = map[string]bool{
	"SetAttributes": true, "AddEvent": true, "AddLink": true, "SetStatus": true, "SetName": true, "RecordError": true,
	"WithAttributes": true, "WithAttributeSet": true, "WithLinks": true, "WithStackTrace": true,
	"NewWithAttributes": true, "NewSchemaless": true, "NewSet": true,
}

// The methods of recorder are the only way into telemetry: another file of this package
// neither calls what takes attributes, nor starts a span, nor makes a masked text or a clean
// list itself. (That nobody outside of this package does is a test of the architecture.)
func TestNothingIsRecordedAroundRedaction(t *testing.T) {
	entries, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	inRecord := map[string]bool{}
	for _, e := range entries {
		name := e.Name()
		if !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			continue
		}
		files := token.NewFileSet()
		file, err := parser.ParseFile(files, name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, found := range aroundRedaction(file) {
			if inRecord[found.what] = true; name != "record.go" {
				t.Errorf("%s: %s belongs into record.go", files.Position(found.at), found.what)
			}
		}
	}
	for _, what := range []string{"SetAttributes", "AddEvent", "SetStatus", "WithAttributes", "NewWithAttributes", "tracer.Start", "masked(…)", "clean{…}"} {
		if !inRecord[what] {
			t.Errorf("record.go has no %s: this test looks for the wrong things", what)
		}
	}
}

type sighting struct {
	what string
	at   token.Pos
}

func aroundRedaction(file *ast.File) (found []sighting) {
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.SelectorExpr:
			if guarded[n.Sel.Name] {
				found = append(found, sighting{n.Sel.Name, n.Pos()})
			}
			if of, ok := n.X.(*ast.SelectorExpr); ok && n.Sel.Name == "Start" && of.Sel.Name == "tracer" {
				found = append(found, sighting{"tracer.Start", n.Pos()})
			}
		case *ast.CallExpr:
			if id, ok := n.Fun.(*ast.Ident); ok && id.Name == "masked" {
				found = append(found, sighting{"masked(…)", n.Pos()})
			}
		case *ast.CompositeLit:
			if id, ok := n.Type.(*ast.Ident); ok && id.Name == "clean" {
				found = append(found, sighting{"clean{…}", n.Pos()})
			}
		}
		return true
	})
	return found
}

const secretAddress = "jane@example.org"

// Whatever the type of an attribute, its texts are masked.
func TestAttributesOfEveryTypeAreMasked(t *testing.T) {
	rec := &recorder{redactor: redact.New(nil)}
	c := rec.attributes(
		attribute.String("a", secretAddress),
		attribute.StringSlice("b", []string{"x", secretAddress}),
		attribute.KeyValue{Key: "c", Value: attribute.ByteSliceValue([]byte(secretAddress))},
		attribute.KeyValue{Key: "d", Value: attribute.SliceValue(attribute.StringValue(secretAddress), attribute.IntValue(1))},
		attribute.KeyValue{Key: "e", Value: attribute.MapValue(attribute.String(secretAddress, secretAddress))},
		attribute.Int("f", 1), attribute.Bool("g", true), attribute.Float64("h", 0.5),
	)
	const mask = "[redacted:email]"
	want := []attribute.KeyValue{
		attribute.String("a", mask),
		attribute.StringSlice("b", []string{"x", mask}),
		{Key: "c", Value: attribute.ByteSliceValue([]byte(mask))},
		{Key: "d", Value: attribute.SliceValue(attribute.StringValue(mask), attribute.IntValue(1))},
		{Key: "e", Value: attribute.MapValue(attribute.String(mask, mask))},
		attribute.Int("f", 1), attribute.Bool("g", true), attribute.Float64("h", 0.5),
	}
	if !slices.Equal(c.list, want) {
		t.Errorf("attributes are %v", c.list)
	}
}

// Names, status, error types and metrics hold foreign text too.
func TestNamesAndErrorsAreMasked(t *testing.T) {
	p, reader := newTestProvider(t, nil)
	end := testStages(10)[0]
	end.Record.ErrorType, end.Record.ErrorMessage = "slack_"+secretAddress, "to "+secretAddress
	spans := endStage(t, p, end, func(ctx context.Context) {
		_, d := StartDetail(ctx, "chat "+secretAddress, trace.SpanKindClient)
		d.Set(attribute.String("x", secretAddress))
		d.End(&commentator.Error{Code: secretAddress, Message: secretAddress, Err: errors.New(secretAddress)})
		RecordModelCall(ctx, ModelCall{RequestModel: "m", ResponseModel: secretAddress, ErrorType: secretAddress})
	})
	for _, s := range spans {
		if text := s.String(); strings.Contains(text, "jane") || !strings.Contains(text, "redacted:email") {
			t.Errorf("span is %s", text)
		}
	}
	text, err := json.Marshal(collect(t, reader))
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(text), "jane") || !strings.Contains(string(text), "redacted:email") {
		t.Errorf("metrics are %s", text)
	}
}

func TestResourceIsMasked(t *testing.T) {
	p, _ := newTestProvider(t, func(c *Config) {
		c.ResourceAttributes = map[string]string{
			"database": "postgres://u:p@db/x", "owner": secretAddress, "service.auth": "oauth2",
			"api.token": "abc", "db.password": "hunter2 of us", "X-Api-Key": "0123456789abcdef",
		}
	})
	m, err := p.JobStarted(testJob(p, 1), testMessage())
	if err != nil {
		t.Fatal(err)
	}
	got := values(decodeRequest(t, m).ResourceSpans[0].Resource.Attributes)
	for key, want := range map[string]string{
		"database": "postgres://REDACTED:REDACTED@db/x", "owner": "[redacted:email]", "service.auth": "oauth2", wire.ResStoreID: testStore,
		"api.token": "[redacted:token]", "db.password": "[redacted:password]", "X-Api-Key": "[redacted:api_key]",
	} {
		if got[key] != want {
			t.Errorf("%s is %v, want %s", key, got[key], want)
		}
	}
}

// The hash of an artifact is that of its content as it is recorded.
func TestArtifactHashIsOfTheRedactedContent(t *testing.T) {
	rec := &recorder{redactor: redact.New(nil)}
	a := rec.newArtifact("a.txt", mediaText, rec.mask("to "+secretAddress))
	if a.content != "to [redacted:email]" || a.sha256 != hash("to [redacted:email]") || a.size != len(a.content) {
		t.Errorf("artifact is %+v", a)
	}
}

// Without content there are hashes, and not one of a secret that could be tried out.
func TestOutlineHashesWhatWouldBeRecorded(t *testing.T) {
	rec := &recorder{redactor: redact.New(nil)}
	got, err := outlined([]byte(`{"content":"`+secretAddress+`","id":"s1"}`), rec.mask)
	if err != nil || strings.Contains(string(got), hash(secretAddress)) || !strings.Contains(string(got), hash("[redacted:email]")) {
		t.Errorf("outline is %s, %v", got, err)
	}
	if text := rec.sourcesText([]string{secretAddress}, false); strings.Contains(text, hash(secretAddress)) {
		t.Errorf("sources are %s", text)
	}
}

func TestRedactionsAreCountedByRule(t *testing.T) {
	p, reader := newTestProvider(t, nil)
	p.rec.text(secretAddress + " " + secretAddress + " password=hunter2")
	got := map[string]int64{}
	for _, m := range collect(t, reader) {
		if m.Name == wire.MetricRedactions {
			for _, point := range m.Data.(metricdata.Sum[int64]).DataPoints {
				rule, _ := point.Attributes.Value(wire.AttrRule)
				got[rule.AsString()] += point.Value
			}
		}
	}
	if want := map[string]int64{"email": 2, "password": 1}; !maps.Equal(got, want) {
		t.Errorf("masks are counted as %v, want %v", got, want)
	}
}

// Texts and user.id name a person alike.
func TestPeopleHaveOnePseudonym(t *testing.T) {
	p, _ := newTestProvider(t, nil)
	if got, want := p.rec.text("by <@U0123456789>"), "by <@"+userID(testKey, "U0123456789")+">"; got != want {
		t.Errorf("text is %q, want %q", got, want)
	}
}

func TestUnredactedLeavesTextsAsTheyAre(t *testing.T) {
	p, _ := newTestProvider(t, func(c *Config) { c.Unredacted = true })
	if got := p.rec.text(secretAddress); got != secretAddress {
		t.Errorf("text is %q", got)
	}
}
