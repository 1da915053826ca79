//go:build linux

package main

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/technoshare/commentator/internal/mlflow"
	"github.com/technoshare/commentator/internal/wire"
	"github.com/technoshare/commentator/test/sandbox"
)

// tracesPerMessage makes messages of 300 spans, of 12 each.
const tracesPerMessage = 25

// tracesResult is what traces.json holds.
type tracesResult struct {
	Time     time.Time `json:"time"`
	Revision string    `json:"revision"`
	Machine  string    `json:"machine"`
	Backend  string    `json:"backend"`

	Bridge   spread `json:"bridge_spans_per_second"`   // nothing selected as job or stage
	OTLPHTTP spread `json:"otlphttp_spans_per_second"` // the stock exporter, same queue and consumers
	// Finalise is what StartTraceV3 of each trace takes on two connections, and what is left
	// of the bridge's spans a second then.
	Finalise      spread        `json:"finalise_ms_per_trace"`
	WithFinalise  spread        `json:"bridge_finalised_spans_per_second"`
	SpansOfATrace int           `json:"spans_of_a_trace"`
	Goals         []goal        `json:"goals"`
	Differences   []string      `json:"differences"` // of one trace, by both ways
	Rounds        []tracesRound `json:"rounds"`
}

type tracesRound struct {
	Way    string  `json:"way"`
	Round  int     `json:"round"`
	Spans  int     `json:"spans"`
	Second float64 `json:"spans_per_second"`
	CPU    float64 `json:"cpu_us_per_span"`
}

const bridgeOverlay = `exporters:
  mlflow:
    mapping:
      job: {condition: 'false'}
      stage: {condition: 'false'}
      trace: {condition: 'true'}
`

// otlphttpOverlay puts the stock exporter in the place of ours, on the same queue.
const otlphttpOverlay = `exporters:
  otlphttp:
    endpoint: %s
    headers: {x-mlflow-experiment-id: "%s"}
    sending_queue: {enabled: true, storage: file_storage, sizer: bytes, queue_size: 4294967296, num_consumers: 2}
service:
  pipelines:
    traces: {receivers: [otlp], processors: [memory_limiter], exporters: [otlphttp]}
`

func benchTraces(o options) error {
	messages := cmp.Or(o.jobs, 40)
	s, err := openSite(o)
	if err != nil {
		return err
	}
	defer s.close()
	client, err := mlflow.New(mlflow.Config{Endpoint: s.server.url})
	if err != nil {
		return err
	}
	defer client.Close()
	stockID, err := client.CreateExperiment(context.Background(), "otlphttp")
	if err != nil {
		return err
	}
	bridge, err := s.bridge("spans", bridgeOverlay, s.server.url)
	if err != nil {
		return err
	}
	stock, err := s.bridge("otlphttp", fmt.Sprintf(otlphttpOverlay, s.server.url, stockID), s.server.url)
	if err != nil {
		return err
	}
	for _, c := range []*collector{bridge, stock} { // MLflow's first requests take seconds, and the first round of whoever is first is slow
		if _, err := s.spans(c, messages); err != nil {
			return err
		}
	}
	res := tracesResult{
		Time: time.Now().UTC(), Revision: revision(), Machine: sandbox.Machine(), Backend: backend(o.store),
		SpansOfATrace: s.plain(1).SpanCount(),
	}
	by := map[string][]float64{}
	var finalise, with []float64
	for i := range o.rounds {
		turn := []string{"bridge", "otlphttp"}
		if i%2 == 1 {
			slices.Reverse(turn)
		}
		for _, name := range turn {
			c := map[string]*collector{"bridge": bridge, "otlphttp": stock}[name]
			r, err := s.spans(c, messages)
			if err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			r.Way, r.Round = name, i+1
			fmt.Fprintf(os.Stderr, "round %d  %-9s %6.0f spans per second\n", r.Round, r.Way, r.Second)
			res.Rounds = append(res.Rounds, r)
			by[name] = append(by[name], r.Second)
		}
		ms, err := s.finalise(client, 60)
		if err != nil {
			return err
		}
		finalise = append(finalise, ms)
		perTrace := 1000 * float64(res.SpansOfATrace) / by["bridge"][i] // ms
		with = append(with, 1000*float64(res.SpansOfATrace)/(perTrace+ms))
	}
	ratios := make([]float64, o.rounds)
	for i := range ratios {
		ratios[i] = by["bridge"][i] / by["otlphttp"][i]
	}
	res.Bridge, res.OTLPHTTP = spreadOf(by["bridge"]), spreadOf(by["otlphttp"])
	res.Finalise, res.WithFinalise = spreadOf(finalise), spreadOf(with)
	res.Goals = []goal{goal{Name: "spans per second, bridge / otlphttp", Figure: medianBounds(ratios), Bound: 0.95}.judge()}
	if res.Differences, err = s.sameTrace(client, bridge, stock); err != nil {
		return err
	}
	path := filepath.Join(o.out, "traces.json")
	if err := save(path, res); err != nil {
		return err
	}
	fmt.Printf("%s, %s, %d rounds of %d spans\n\n", res.Machine, res.Backend, o.rounds, res.Rounds[0].Spans)
	fmt.Printf("spans per second   bridge %.0f (%.0f–%.0f), otlphttp %.0f (%.0f–%.0f)\n", res.Bridge.Median, res.Bridge.Least, res.Bridge.Most,
		res.OTLPHTTP.Median, res.OTLPHTTP.Least, res.OTLPHTTP.Most)
	fmt.Printf("finalising         %.1f ms per trace, which leaves %.0f spans per second\n\n", res.Finalise.Median, res.WithFinalise.Median)
	printGoals(res.Goals)
	fmt.Printf("\none trace by both ways: %s\nraw rounds: %s\n", cmp.Or(strings.Join(res.Differences, "; "), "the same"), path)
	return nil
}

// plain is the trace of a job without its files and messages.
func (s *site) plain(n int) ptrace.Traces {
	td := s.work.whole(n, time.Now())
	for _, rs := range td.ResourceSpans().All() {
		for _, ss := range rs.ScopeSpans().All() {
			ss.Spans().RemoveIf(func(sp ptrace.Span) bool {
				tier, _ := sp.Attributes().Get(wire.AttrTier)
				sp.Events().RemoveIf(func(e ptrace.SpanEvent) bool { return e.Name() == wire.EventArtifact })
				return tier.AsString() == wire.TierMessage
			})
		}
	}
	td.ResourceSpans().RemoveIf(func(rs ptrace.ResourceSpans) bool { return rs.ScopeSpans().At(0).Spans().Len() == 0 })
	return td
}

// spans sends messages and waits until MLflow has all of them.
func (s *site) spans(c *collector, messages int) (tracesRound, error) {
	m, err := sandbox.Metrics(c.metrics)
	if err != nil {
		return tracesRound{}, err
	}
	before, all := m["otelcol_exporter_sent_spans"], make([]ptrace.Traces, messages)
	total := 0
	for i := range all {
		parts := make([]ptrace.Traces, tracesPerMessage)
		for k := range parts {
			parts[k] = s.plain(s.number())
		}
		all[i] = merge(parts)
		total += all[i].SpanCount()
	}
	start, cpu := time.Now(), c.cpu()
	for _, td := range all {
		if err := c.send(td); err != nil {
			return tracesRound{}, err
		}
	}
	err = c.drained(func(m map[string]float64) bool { return int(m["otelcol_exporter_sent_spans"]-before) >= total })
	took := time.Since(start)
	return tracesRound{
		Spans: total, Second: float64(total) / took.Seconds(),
		CPU: float64((c.cpu() - cpu).Microseconds()) / float64(total),
	}, err
}

// finalise tells MLflow of traces that it has, as the bridge does after their spans.
func (s *site) finalise(client *mlflow.Client, traces int) (ms float64, err error) {
	ctx := context.Background()
	experiment, err := client.GetExperimentByName(ctx, "spans")
	if err != nil {
		return 0, err
	}
	found, _, err := client.SearchTraces(ctx, mlflow.SearchTraces{ExperimentIDs: []string{experiment.ID}, MaxResults: traces})
	if err != nil {
		return 0, err
	}
	work := make(chan mlflow.TraceInfo, len(found))
	for _, t := range found {
		work <- mlflow.TraceInfo{
			TraceID: t.TraceID, Location: mlflow.InExperiment(experiment.ID), State: "OK", RequestTime: t.RequestTime, Duration: "6.258s",
			Metadata: map[string]string{mlflow.MetaTokenUsage: `{"input_tokens":8580,"output_tokens":1548,"total_tokens":10128}`},
			Tags:     map[string]string{mlflow.TagTraceName: "job"},
		}
	}
	close(work)
	var wg sync.WaitGroup
	errs := make(chan error, len(found))
	start := time.Now()
	for range 2 {
		wg.Go(func() {
			for info := range work {
				errs <- client.StartTrace(ctx, info)
			}
		})
	}
	wg.Wait()
	took := time.Since(start)
	close(errs)
	for e := range errs {
		if err = cmp.Or(err, e); err != nil {
			return 0, fmt.Errorf("finalise traces: %w", err)
		}
	}
	return float64(took.Microseconds()) / 1000 / float64(len(found)), nil
}

// sameTrace sends one trace by both ways and says in what they differ.
func (s *site) sameTrace(client *mlflow.Client, bridge, stock *collector) ([]string, error) {
	now := time.Now()
	var held []mlflow.Trace
	for _, c := range []*collector{stock, bridge} {
		n := s.number()
		td := s.plain(n)
		for span := range allSpans([]ptrace.Traces{td}) { // the same times, so that all can be equal
			took := span.EndTimestamp() - span.StartTimestamp()
			span.SetStartTimestamp(pcommon.NewTimestampFromTime(now))
			span.SetEndTimestamp(span.StartTimestamp() + took)
		}
		m, err := sandbox.Metrics(c.metrics)
		if err != nil {
			return nil, err
		}
		if err := c.send(td); err != nil {
			return nil, err
		}
		want := int(m["otelcol_exporter_sent_spans"]) + td.SpanCount()
		if err := c.drained(func(m map[string]float64) bool { return int(m["otelcol_exporter_sent_spans"]) >= want }); err != nil {
			return nil, err
		}
		t, err := client.GetTrace(context.Background(), "tr-"+traceID(n).String())
		if err != nil {
			return nil, err
		}
		held = append(held, t)
	}
	ours, differences := map[mlflow.SpanID]mlflow.Span{}, map[string]bool{}
	for _, sp := range held[1].Spans {
		ours[sp.ID] = sp
	}
	for _, want := range held[0].Spans {
		got, ok := ours[want.ID]
		if !ok || got.Name != want.Name || got.ParentID != want.ParentID || got.Start != want.Start || got.End != want.End {
			differences["span "+want.Name+" has another id, name, parent or time"] = true
		}
		for _, a := range want.Attributes {
			if !slices.ContainsFunc(got.Attributes, func(b mlflow.Attribute) bool { return a.Key == b.Key }) {
				differences["the bridge leaves out attribute "+a.Key] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(differences)), nil
}
