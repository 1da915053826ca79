package apply

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"

	"go.uber.org/zap"

	"github.com/technoshare/commentator/collector/mlflowexporter/internal/reduce"
	"github.com/technoshare/commentator/internal/decimal"
	"github.com/technoshare/commentator/internal/mlflow"
)

// maxCounts is how often a trace that other Collectors write too is added up again.
const maxCounts = 3

// total is a sum over the spans of a trace, as MLflow makes it.
type total struct {
	metadata  string // of the trace
	attribute string // of its spans
	keys      []string
	compare   string // the key that tells the larger of two sums
}

var totals = []total{
	{mlflow.MetaTokenUsage, reduce.AttrTokenUsage, []string{"input_tokens", "output_tokens", "total_tokens"}, "total_tokens"},
	{mlflow.MetaCost, reduce.AttrCost, []string{"input_cost", "output_cost", "total_cost"}, "total_cost"},
}

// counts reports whether a span has what a trace is summed up of.
func (s span) counts() bool {
	return slices.ContainsFunc(totals, func(sum total) bool {
		_, ok := s.span.Attributes().Get(sum.attribute)
		return ok
	})
}

// stored notes that MLflow took spans, and whether its totals lack them: MLflow 3.15 and newer add
// up all spans until they were told of the trace and have a sum, and leave that as it is from then on.
func (a *Applier) stored(spans []span) {
	keeps := a.keepsTotals()
	for _, s := range spans {
		t := s.of
		t.rec.Spans[s.span.SpanID()] = s.version
		t.rec.Told = t.rec.Told && t.first
		if keeps && t.late && s.counts() && !saysTotals(t.rec.Info) {
			t.rec.Recount = true
		}
	}
	for _, t := range tracesOf(spans) { // further spans of this batch come in a request of their own
		t.late = t.late || t.first || len(t.rec.Info) > 0
	}
}

// isLate reports whether MLflow may have been told of a trace, and have spans of it, before it gets others
// now. With several Collectors those may be of another one.
func (a *Applier) isLate(t *trace) bool {
	told, others := len(t.rec.Info) > 0, a.cfg.Shared
	return (told && (len(t.rec.Spans) > 0 || others)) || t.rec.Elsewhere || (others && t.Info == nil)
}

// saysTotals reports whether an info has all totals itself.
func saysTotals(info json.RawMessage) bool {
	said := metadataOf(info)
	return !slices.ContainsFunc(totals, func(sum total) bool { return said[sum.metadata] == "" })
}

func metadataOf(info json.RawMessage) map[string]string {
	var out struct {
		Metadata map[string]string `json:"trace_metadata"`
	}
	if len(info) == 0 || json.Unmarshal(info, &out) != nil {
		return nil
	}
	return out.Metadata
}

// withTotals is the info of a trace with the totals that MLflow lacks, summed up over the spans that it
// holds. Nothing is added when MLflow has them; the info is empty when there is nothing to say.
func (a *Applier) withTotals(ctx context.Context, t *trace) (info json.RawMessage, added bool, err error) {
	foreign := len(t.rec.Info) == 0 // told by another Collector, or before the ledger was lost
	held, err := a.readSpans(ctx, t, foreign)
	err = a.failed.result("totals", t.TraceID, err)
	if err != nil && permanent(err) {
		if !noTrace(err) {
			a.log.Warn("Totals of a trace lack what came late: MLflow does not give its spans", zap.String("trace_id", t.TraceID), zap.Error(err))
		}
		return t.rec.Info, false, nil
	}
	if err != nil {
		return nil, false, fmt.Errorf("read spans to add up: %w", err)
	}
	if foreign && held.Info.Metadata[mlflow.MetaFinalized] == "" {
		return nil, false, nil // MLflow still adds up itself
	}
	said, missing := metadataOf(t.rec.Info), map[string]string{}
	for _, sum := range totals {
		now, ok := sum.of(held.Spans)
		var shown map[string]float64
		_ = json.Unmarshal([]byte(held.Info.Metadata[sum.metadata]), &shown) // none, or no numbers: nothing shown
		round(shown)                                                         // MLflow's own sums are not
		switch {
		case !ok || said[sum.metadata] != "" || maps.Equal(now, shown):
		case foreign && now[sum.compare] <= shown[sum.compare]: // its root may have said it
		default:
			text, err := json.Marshal(now)
			if err != nil {
				return nil, false, finalError{fmt.Errorf("encode totals: %w", err)}
			}
			missing[sum.metadata] = string(text)
		}
	}
	if len(missing) == 0 {
		return t.rec.Info, false, nil
	}
	info, err = withMetadata(t.rec.Info, held.Info, missing)
	return info, err == nil, err
}

// readSpans reads a trace with its spans, of which a foreign one has none here while MLflow still adds up
// itself: each message would read all spans again.
func (a *Applier) readSpans(ctx context.Context, t *trace, foreign bool) (held mlflow.Trace, err error) {
	if foreign {
		held.Info, err = a.readTrace(ctx, t.TraceID)
		if err != nil || held.Info.Metadata[mlflow.MetaFinalized] == "" {
			return held, err
		}
	}
	err = a.call(ctx, func() (err error) {
		held, err = a.client.GetTrace(ctx, "tr-"+t.TraceID)
		return ofTrace(ctx, err)
	})
	return held, err
}

// ofTrace tells from other failures to read a trace those that come again each time, and those that may:
// the sums are not worth a message that is tried for ever.
func ofTrace(ctx context.Context, err error) error {
	var e *mlflow.Error
	switch answered := errors.As(err, &e); {
	case err == nil || ctx.Err() != nil:
		return err
	case !answered, // larger than what is read, or it cannot be decoded
		timedOut(err) && !e.NotSent(), e.Status == http.StatusRequestTimeout, e.Status == http.StatusGatewayTimeout:
		return finalError{errors.New(err.Error())} // not wrapped: no reason to wait, nor that MLflow is away
	case e.Status == http.StatusBadGateway, e.Status == 0 && !e.NotSent():
		return passingError{err} // as it is when MLflow ends at it
	}
	return err
}

// withMetadata adds metadata to an info. One that is empty gets from what is held only what MLflow would
// take its absence for, since values are cut when it is read.
func withMetadata(info json.RawMessage, held mlflow.TraceInfo, metadata map[string]string) (json.RawMessage, error) {
	one := mlflow.TraceInfo{
		TraceID: held.TraceID, Location: held.Location, ClientRequestID: held.ClientRequestID,
		RequestTime: held.RequestTime, Duration: held.Duration, State: held.State,
	}
	if len(info) > 0 {
		one = mlflow.TraceInfo{}
		if err := json.Unmarshal(info, &one); err != nil {
			return nil, finalError{fmt.Errorf("decode trace info: %w", err)}
		}
	}
	if one.Metadata == nil {
		one.Metadata = map[string]string{}
	}
	maps.Copy(one.Metadata, metadata)
	text, err := json.Marshal(one)
	if err != nil {
		return nil, finalError{fmt.Errorf("encode trace info: %w", err)}
	}
	return text, nil
}

// of adds up spans as mlflow/tracing/utils does: what a span says includes the spans below it.
func (sum total) of(spans []mlflow.Span) (all map[string]float64, ok bool) {
	parents, numbers := map[mlflow.SpanID]mlflow.SpanID{}, map[mlflow.SpanID]map[string]float64{}
	for _, s := range spans {
		parents[s.ID], numbers[s.ID] = s.ParentID, s.Numbers(sum.attribute)
	}
	all = map[string]float64{}
	for _, key := range sum.keys {
		all[key] = 0
	}
	for _, s := range spans {
		if len(numbers[s.ID]) == 0 || includes(parents, numbers, s.ID) {
			continue
		}
		ok = true
		for key, n := range numbers[s.ID] {
			all[key] += n
		}
	}
	round(all)
	return all, ok
}

func round(numbers map[string]float64) {
	for key, n := range numbers {
		numbers[key] = decimal.Round(n)
	}
}

// includes reports whether a span above one has numbers. A circle of spans has no end.
func includes(parents map[mlflow.SpanID]mlflow.SpanID, numbers map[mlflow.SpanID]map[string]float64, id mlflow.SpanID) bool {
	for range len(parents) {
		if id = parents[id]; id == "" {
			return false
		}
		if len(numbers[id]) > 0 {
			return true
		}
	}
	return false
}
