//go:build unix

package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync/atomic"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/technoshare/commentator/internal/mlflow"
	"github.com/technoshare/commentator/internal/mlflow/mlflowtest"
	"github.com/technoshare/commentator/internal/wire"
	"github.com/technoshare/commentator/internal/wire/fixture"
)

const (
	experiment = "compatibility"
	// jobFixture is a job with tool calls, cached tokens and cost, recorded in full.
	jobFixture = "model"
	// lateSpan is the name of a span of it that comes after everything else: the last call
	// of a model, which has tokens and cost.
	lateSpan = "chat gpt-4o"
)

// visit is one server and what the exporter made it hold.
type visit struct {
	client   *mlflow.Client
	proxy    *httptest.Server // counts what the exporter sends
	requests atomic.Int64
	folder   string

	want   fixture.Expected
	job    []ptrace.Traces // as the worker sends it, but for late
	late   ptrace.Traces
	before *held // without the late span
	after  *held // with everything
	again  *held // after it was sent twice more
	anew   *held // after an exporter without memory got it

	resent, restarted int64    // requests that it took to send it again
	log               []string // warnings and errors of the first exporter

	hashes map[mlflow.PromptVersion]string // SHA-256 of the texts of the prompts that are registered
}

// held is what the server holds of the job.
type held struct {
	*mlflowtest.State
	Info   mlflow.TraceInfo
	Linked []string // ids of the traces that a search by the job's run finds
	// Prompted are ids of the traces that a search by the prompts finds.
	Prompted []string
}

func newVisit(server string) (*visit, error) {
	v := &visit{}
	requests, want, err := fixture.Load(jobFixture)
	if err != nil {
		return nil, err
	}
	v.want = want
	v.job, v.late = withoutLast(requests, lateSpan)
	if err := v.addVerdict(); err != nil {
		return nil, err
	}
	if v.folder, err = os.MkdirTemp("", "commentator-compat-"); err != nil {
		return nil, err
	}
	if v.client, err = mlflow.New(mlflow.Config{Endpoint: server}); err != nil {
		return nil, err
	}
	target, err := url.Parse(server)
	if err != nil {
		return nil, err
	}
	forward := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target) }}
	v.proxy = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// What is asked by the clock, and once at the start, not because of what is sent.
		if r.URL.Path != "/version" && !strings.HasSuffix(r.URL.Path, "/experiments/get-by-name") {
			v.requests.Add(1)
		}
		forward.ServeHTTP(w, r)
	}))
	return v, nil
}

func (v *visit) close() {
	v.proxy.Close()
	v.client.Close()
	_ = os.RemoveAll(v.folder)
}

// withoutLast takes the last span of a name out of requests.
func withoutLast(requests []ptrace.Traces, name string) (rest []ptrace.Traces, last ptrace.Traces) {
	var id pcommon.SpanID
	for _, td := range requests {
		only(td, func(s ptrace.Span) bool {
			if s.Name() == name {
				id = s.SpanID()
			}
			return true
		})
	}
	for _, td := range requests {
		if one := only(td, func(s ptrace.Span) bool { return s.SpanID() == id }); one.SpanCount() > 0 {
			last = one
		}
		rest = append(rest, only(td, func(s ptrace.Span) bool { return s.SpanID() != id }))
	}
	return rest, last
}

// only copies the spans that keep says.
func only(td ptrace.Traces, keep func(ptrace.Span) bool) ptrace.Traces {
	out := ptrace.NewTraces()
	td.CopyTo(out)
	for _, rs := range out.ResourceSpans().All() {
		for _, ss := range rs.ScopeSpans().All() {
			ss.Spans().RemoveIf(func(s ptrace.Span) bool { return !keep(s) })
		}
	}
	return out
}

// write lets exporters write the job, and reads between what the server holds.
func (v *visit) write(ctx context.Context) error {
	everything := append(slices.Clone(v.job), v.late)
	v.register(ctx)
	first, err := v.startBridge(ctx, "kept")
	if err != nil {
		return err
	}
	defer func() { _ = first.stop() }() // again: what it said first is below
	if err := errors.Join(first.send(ctx, v.job), v.read(ctx, &v.before), first.send(ctx, []ptrace.Traces{v.late}), v.read(ctx, &v.after)); err != nil {
		return err
	}
	v.requests.Store(0)
	err = errors.Join(first.send(ctx, everything), first.send(ctx, everything))
	v.resent = v.requests.Swap(0)
	if err := errors.Join(err, first.stop()); err != nil {
		return err
	}
	v.log = first.complaints()

	restarted, err := v.startBridge(ctx, "kept")
	if err != nil {
		return err
	}
	err = restarted.send(ctx, everything)
	v.restarted = v.requests.Swap(0)
	if err := errors.Join(err, restarted.stop(), v.read(ctx, &v.again)); err != nil {
		return err
	}

	anew, err := v.startBridge(ctx, "lost")
	if err != nil {
		return err
	}
	return errors.Join(anew.send(ctx, everything), anew.stop(), v.read(ctx, &v.anew))
}

// read reads everything that the server holds.
func (v *visit) read(ctx context.Context, into **held) error {
	exp, err := v.client.GetExperimentByName(ctx, experiment)
	if err != nil {
		return err
	}
	state, err := mlflowtest.Read(ctx, v.client, exp.ID)
	if err != nil {
		return err
	}
	h := &held{State: state}
	*into = h
	if len(state.Traces) == 0 {
		return nil
	}
	if h.Info, err = v.client.GetTraceInfo(ctx, v.want.Traces[0].ID); err != nil {
		return err
	}
	runs, _, err := v.client.SearchRuns(ctx, mlflow.SearchRuns{ExperimentIDs: []string{exp.ID}, Filter: "tags.`" + wire.TagKey + "` = '" + v.want.Traces[0].Run + "'"})
	if err != nil || len(runs) == 0 {
		return err
	}
	found, _, err := v.client.SearchTraces(ctx, mlflow.SearchTraces{ExperimentIDs: []string{exp.ID}, Filter: "run_id = '" + runs[0].Info.ID + "'"})
	for _, t := range found {
		h.Linked = append(h.Linked, t.TraceID)
	}
	for prompt := range v.hashes {
		more, _, searchErr := v.client.SearchTraces(ctx, mlflow.SearchTraces{ExperimentIDs: []string{exp.ID}, Filter: "prompt = '" + prompt.Name + "/" + prompt.Version + "'"})
		err = errors.Join(err, searchErr)
		for _, t := range more {
			h.Prompted = append(h.Prompted, t.TraceID)
		}
	}
	slices.Sort(h.Prompted)
	h.Prompted = slices.Compact(h.Prompted)
	return err
}

// register puts the prompts of the job into the registry. A server that has no prompts shows it
// in its column.
func (v *visit) register(ctx context.Context) {
	v.hashes = map[mlflow.PromptVersion]string{}
	for name, text := range fixture.Prompts {
		version, err := v.client.CreatePromptVersion(ctx, mlflow.NewPromptVersion{Name: name, Text: text})
		if err != nil {
			continue
		}
		sum := sha256.Sum256([]byte(text))
		v.hashes[version] = hex.EncodeToString(sum[:])
	}
}
