package telemetry

import (
	"context"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/go-logr/logr"
	"go.opentelemetry.io/contrib/samplers/jaegerremote"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/technoshare/commentator/internal/commentator"
	"github.com/technoshare/commentator/internal/redact"
	"github.com/technoshare/commentator/internal/wire"
)

// Defaults of Remote. The interval is shorter than the specification's five seconds so that a
// change holds within one.
const (
	DefaultRemoteEndpoint = "http://127.0.0.1:5778/sampling"
	defaultRemoteInterval = 500 * time.Millisecond
	leastRemoteInterval   = 100 * time.Millisecond
)

// Remote is a source of sampling strategies in Jaeger's form, asked over HTTP: the sampler
// jaeger_remote of the OpenTelemetry specification.
type Remote struct {
	Endpoint string        // address without the query
	Interval time.Duration // between two questions
	// Initial is the share of jobs, 0 to 1, that are recorded in full as long as there was no
	// answer.
	Initial float64
}

// parseRemote reads OTEL_TRACES_SAMPLER_ARG of jaeger_remote:
// endpoint=…,pollingIntervalMs=…,initialSamplingRate=…, each of which may be left out.
func parseRemote(arg string) (*Remote, error) {
	r := &Remote{Endpoint: DefaultRemoteEndpoint, Interval: defaultRemoteInterval}
	given := map[string]bool{}
	for item := range strings.SplitSeq(arg, ",") {
		key, value, _ := strings.Cut(strings.TrimSpace(item), "=")
		wrong := func(want string) error {
			return fmt.Errorf("OTEL_TRACES_SAMPLER_ARG: %s=%q is not %s", key, value, want)
		}
		if key != "" && given[key] {
			return nil, fmt.Errorf("OTEL_TRACES_SAMPLER_ARG: %s is given twice; jaeger_remote takes one", key)
		}
		given[key] = true
		switch key {
		case "":
		case "endpoint":
			u, err := url.Parse(value)
			if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
				return nil, wrong("an address; write http://host:5778/sampling")
			}
			if strings.ContainsAny(value, "?#") {
				return nil, wrong("an address without a query, in which the service is asked for; write http://host:5778/sampling")
			}
			r.Endpoint = value
		case "pollingIntervalMs":
			ms, err := strconv.ParseInt(value, 10, 32)
			if r.Interval = time.Duration(ms) * time.Millisecond; err != nil || r.Interval < leastRemoteInterval {
				return nil, wrong("a whole number of at least 100")
			}
		case "initialSamplingRate":
			rate, err := strconv.ParseFloat(value, 64)
			if err != nil || !(rate >= 0 && rate <= 1) {
				return nil, wrong("a number from 0 to 1")
			}
			r.Initial = rate
		default:
			return nil, fmt.Errorf("OTEL_TRACES_SAMPLER_ARG: %q is not known; jaeger_remote takes endpoint, pollingIntervalMs and initialSamplingRate", key)
		}
	}
	return r, nil
}

// byRemote decides as a strategy says that is asked for again and again. A strategy for the
// operation "process jobs" wins over the service's.
type byRemote struct {
	rule    string // the endpoint without secrets
	sampler *jaegerremote.Sampler
	source  *strategies
	initial strategy // until there is an answer
	cancel  context.CancelFunc
}

// newByRemote starts to ask. Of a Config that has its defaults it takes who asks and who is told.
func newByRemote(r Remote, c Config, timeout time.Duration) *byRemote {
	ctx, cancel := context.WithCancel(context.Background())
	source := &strategies{endpoint: r.Endpoint, ctx: ctx, timeout: timeout, news: newStrategyNews(r.Endpoint, c)}
	return &byRemote{rule: redact.New(nil).Text(r.Endpoint), source: source, initial: byRatio(r.Initial), cancel: cancel, sampler: jaegerremote.New(c.ServiceName,
		jaegerremote.WithSamplingStrategyFetcher(source),
		jaegerremote.WithSamplingRefreshInterval(r.Interval),
		jaegerremote.WithInitialSampler(sdktrace.TraceIDRatioBased(r.Initial)),
		jaegerremote.WithAttributesDisabled(),
		jaegerremote.WithLogger(logr.Discard()), // it would tell of each question that fails
	)}
}

func (b *byRemote) decide(_ commentator.Job, _ commentator.Message, id trace.TraceID) commentator.Decision {
	d := commentator.Decision{Detail: commentator.DetailTracking, By: commentator.ByRemote}
	if s := b.source.taken.Load(); s != nil {
		d.Rule, d.Ratio, d.Revision = b.rule+": "+s.says, s.ratio, s.revision
	} else {
		d.Rule, d.Ratio = b.rule+", which had given none yet: "+b.initial.says, b.initial.ratio
	}
	r := b.sampler.ShouldSample(sdktrace.SamplingParameters{ParentContext: context.Background(), TraceID: id, Name: wire.SpanJob})
	if r.Decision == sdktrace.RecordAndSample {
		d.Detail = commentator.DetailFull
	}
	return d
}

// close ends a question that is under way, which the sampler's own end would wait for.
func (b *byRemote) close() {
	b.cancel()
	b.sampler.Close()
}
