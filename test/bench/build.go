//go:build linux

package main

import (
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// The worker under load is built three times from the same sources: as they are, with a watch
// in each function that telemetry adds to a job, and without any telemetry. The sources stay
// as they are: `go build -overlay` reads other files in their places.
const workerPackage = "./test/bench/worker"

// overlay says which files the compiler reads in place of others; "" is none.
type overlay map[string]string

// buildWorker builds it into a file.
func buildWorker(top, file string, o overlay) error {
	args := []string{"build", "-o", file}
	if len(o) > 0 {
		body, err := json.Marshal(map[string]overlay{"Replace": o})
		if err != nil {
			return err
		}
		if err := os.WriteFile(file+".overlay.json", body, 0o600); err != nil {
			return err
		}
		args = append(args, "-overlay", file+".overlay.json")
	}
	cmd := exec.Command("go", append(args, workerPackage)...)
	cmd.Dir = top
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build the worker: %w\n%s", err, out)
	}
	return nil
}

// withoutTelemetry puts test/bench/silent in the place of internal/telemetry.
func withoutTelemetry(top string) (overlay, error) {
	files, err := filepath.Glob(filepath.Join(top, "internal", "telemetry", "*.go"))
	if err != nil || len(files) == 0 {
		return nil, fmt.Errorf("find internal/telemetry: %d files, %w", len(files), err)
	}
	o := overlay{}
	for _, f := range files {
		o[f] = ""
	}
	o[files[0]] = filepath.Join(top, "test", "bench", "silent", "telemetry.go")
	return o, nil
}

// watched are the functions whose time counts as added, by file and by the part that it
// counts for: every one of internal/telemetry that the job's goroutine calls, what is done for
// telemetry alone in other places, and the way into the outbox.
var watched = map[string]map[string][]string{
	"internal/telemetry/provider.go":  {"Call": {"Provider.Decide", "Provider.JobContext", "Provider.Notify"}},
	"internal/telemetry/job.go":       {"Call": {"Provider.JobActive", "Provider.JobStarted", "Provider.JobEnded"}},
	"internal/telemetry/stage.go":     {"Call": {"Provider.StartStage", "Provider.StageEnded", "Stage.SpanID", "Stage.End"}},
	"internal/telemetry/detail.go":    {"Detail": {"StartDetail", "Detail.Set", "Detail.Describe", "Detail.End", "CaptureContent", "WithoutContent"}, "Call": {"RecordModelCall"}},
	"internal/telemetry/transport.go": {"Detail": {"requestAttributes", "countedBody.end"}},
	"internal/pipeline/values.go":     {"Call": {"values.end"}},
	"internal/store/outbox.go":        {"Insert": {"Store.enqueueMessage"}},
}

// checkpoints is what runs beside the jobs and may hold them up.
var checkpoints = map[string]string{"internal/store/maintain.go": "Store.checkpoint"}

// withWatch writes copies of these files, with the calls of package drive, into a folder.
func withWatch(top, dir string) (overlay, error) {
	o := overlay{}
	write := func(file string, calls map[string]string) error {
		path := filepath.Join(top, filepath.FromSlash(file))
		text, err := insertCalls(path, calls)
		if err != nil {
			return err
		}
		o[path] = filepath.Join(dir, strings.ReplaceAll(file, "/", "_"))
		return os.WriteFile(o[path], text, 0o600)
	}
	for file, parts := range watched {
		calls := map[string]string{}
		for part, functions := range parts {
			for _, f := range functions {
				calls[f] = "defer drive.Leave(drive.Enter(drive." + part + "))"
			}
		}
		if err := write(file, calls); err != nil {
			return nil, err
		}
	}
	for file, f := range checkpoints {
		if err := write(file, map[string]string{f: "defer drive.End(drive.Begin())"}); err != nil {
			return nil, err
		}
	}
	return o, nil
}

// insertCalls returns a file with a statement at the beginning of each function.
func insertCalls(path string, calls map[string]string) ([]byte, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	set := token.NewFileSet()
	file, err := parser.ParseFile(set, path, text, 0)
	if err != nil {
		return nil, err
	}
	type insertion struct {
		offset int
		text   string
	}
	list := []insertion{{set.Position(file.Name.End()).Offset, `; import "github.com/technoshare/commentator/test/bench/drive"`}}
	left := len(calls)
	for _, d := range file.Decls {
		f, ok := d.(*ast.FuncDecl)
		if !ok || f.Body == nil || calls[nameOf(f)] == "" {
			continue
		}
		left--
		list = append(list, insertion{set.Position(f.Body.Lbrace).Offset + 1, calls[nameOf(f)] + ";"})
	}
	if left > 0 {
		return nil, fmt.Errorf("watch the time in %s: %d of %v are not there", path, left, calls)
	}
	for _, i := range slices.Backward(list) { // declarations come in the order of the text
		text = slices.Insert(text, i.offset, []byte(i.text)...)
	}
	return text, nil
}

// nameOf is "function" or "Type.method".
func nameOf(f *ast.FuncDecl) string {
	if f.Recv == nil {
		return f.Name.Name
	}
	t := f.Recv.List[0].Type
	if star, ok := t.(*ast.StarExpr); ok {
		t = star.X
	}
	if id, ok := t.(*ast.Ident); ok {
		return id.Name + "." + f.Name.Name
	}
	return f.Name.Name
}
