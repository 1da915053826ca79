package main

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/technoshare/commentator/internal/wire/fixture"
)

func writeFile(t *testing.T, name string, content []byte) string {
	t.Helper()
	if err := os.WriteFile(name, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// The same job is planned from every form in which spans lie about.
func TestPlanReadsEveryForm(t *testing.T) {
	requests, _, err := fixture.Load("success")
	if err != nil {
		t.Fatal(err)
	}
	inDir(t)
	t.Setenv("MLFLOW_EXPERIMENT_NAME", "mine")
	one := ptrace.NewTraces()
	var list []json.RawMessage
	var lines []byte
	for _, td := range requests {
		body, err := (&ptrace.JSONMarshaler{}).MarshalTraces(td)
		if err != nil {
			t.Fatal(err)
		}
		list, lines = append(list, body), append(append(lines, body...), '\n')
		for _, rs := range td.ResourceSpans().All() {
			rs.CopyTo(one.ResourceSpans().AppendEmpty())
		}
	}
	array, err := json.Marshal(list)
	if err != nil {
		t.Fatal(err)
	}
	letter, err := json.Marshal(map[string]any{"trace_id": "x", "otlp": list[1]})
	if err != nil {
		t.Fatal(err)
	}
	protobuf, err := (&ptrace.ProtoMarshaler{}).MarshalTraces(one)
	if err != nil {
		t.Fatal(err)
	}
	var packed bytes.Buffer
	zip := gzip.NewWriter(&packed)
	if _, err := zip.Write(protobuf); err != nil {
		t.Fatal(err)
	}
	if err := zip.Close(); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		content []byte
		want    string
	}{
		"otlp.pb.gz": {packed.Bytes(), "9 spans in 1 message: 6 runs, 1 trace, 28 requests"},
		"list.json":  {array, "9 spans in 7 messages: 6 runs, 1 trace, 34 requests"},
		"lines.json": {lines, "9 spans in 7 messages: 6 runs, 1 trace, 34 requests"},
		"otlp.pb":    {protobuf, "9 spans in 1 message: 6 runs, 1 trace, 28 requests"},
		"dead.json":  {letter, "2 spans in 1 message: 2 runs, 1 trace,"},
	} {
		out, err := execute(t, "plan", writeFile(t, name, c.content))
		if err != nil || !strings.Contains(out, c.want) || !strings.Contains(out, "experiment  mine") {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
	}
}

func TestPlanTakesTheConfiguration(t *testing.T) {
	requests, _, err := fixture.Load("success")
	if err != nil {
		t.Fatal(err)
	}
	inDir(t)
	body, err := (&ptrace.JSONMarshaler{}).MarshalTraces(requests[1])
	if err != nil {
		t.Fatal(err)
	}
	spans := writeFile(t, "spans.json", body)
	config := writeFile(t, "config.yaml", []byte(`
receivers: {otlp: {protocols: {grpc: }}}
extensions: {file_storage: {directory: .}}
exporters:
  mlflow/a: {endpoint: "http://a:1", storage: file_storage, experiment: team-a}
  mlflow/b: {endpoint: "http://b:1", storage: file_storage, layout: flat}
  mlflow/c: {endpoint: "c", storage: file_storage}
service: {pipelines: {traces: {receivers: [otlp], exporters: [mlflow/a]}}}
`))
	for _, c := range []struct {
		args, want string
		wantErr    bool
	}{
		{spans + " --exporter mlflow/a", "to http://a:1\n", false},
		{spans + " --exporter mlflow/b", "artifact  retrieval/evidence.json", false},
		{spans, "choose one of mlflow/a, mlflow/b, mlflow/c with --exporter", true},
		{spans + " --exporter mlflow/x", "has no exporter mlflow/x: --exporter must be one of mlflow/a,", true},
		{spans + " --exporter mlflow/c", "exporters::mlflow/c: `endpoint`: ", true},
	} {
		out, err := execute(t, append([]string{"plan", "--config", config}, strings.Fields(c.args)...)...)
		if !strings.Contains(out, c.want) || (err != nil) != c.wantErr {
			t.Errorf("%s: %v\n%s", c.args, err, out)
		}
	}
}

func TestPlanSaysWhatIsWrong(t *testing.T) {
	dir := inDir(t)
	for name, c := range map[string]struct {
		content string
		want    string
	}{
		"empty.json":  {"{}", "it holds none; wanted is OTLP with resourceSpans"},
		"broken.json": {`{"resourceSpans":[`, "parse JSON: unexpected EOF"},
		"text.txt":    {"no spans", "neither JSON nor OTLP in protobuf"},
		"number.json": {"[1]", "parse JSON: "},
		"id.json":     {`{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"abc"}]}]}]}`, "a traceId is 32 hex digits, a spanId or parentSpanId 16"},
		"cut.gz":      {"\x1f\x8b\x08\x00", "unpack gzip: unexpected EOF"},
		"spans.zst":   {"\x28\xb5\x2f\xfd", "packed with zstd: unpack it first"},
	} {
		out, err := execute(t, "plan", writeFile(t, filepath.Join(dir, name), []byte(c.content)))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
	}
	large := writeFile(t, filepath.Join(dir, "large.json"), nil)
	if err := os.Truncate(large, maxSpans+1); err != nil { // takes no room on the disk
		t.Fatal(err)
	}
	if _, err := execute(t, "plan", large); err == nil || !strings.Contains(err.Error(), "too large: it holds more than the 1024 MiB that are read") {
		t.Error(err)
	}
	if _, err := execute(t, "plan", "missing.json"); err == nil || !strings.Contains(err.Error(), "read spans: open missing.json") {
		t.Error(err)
	}
}

// A small file that stands for very much does not fill the memory.
func TestUnpackHasALimit(t *testing.T) {
	var packed bytes.Buffer
	zip := gzip.NewWriter(&packed)
	if _, err := zip.Write(make([]byte, 2<<20)); err != nil {
		t.Fatal(err)
	}
	if err := zip.Close(); err != nil {
		t.Fatal(err)
	}
	if got, err := unpack(packed.Bytes(), 2<<20); err != nil || len(got) != 2<<20 {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	if _, err := unpack(packed.Bytes(), 2<<20-1); err == nil || !strings.Contains(err.Error(), "holds more than 1 MiB: unpack it and give a part") {
		t.Errorf("error is %v", err)
	}
}
