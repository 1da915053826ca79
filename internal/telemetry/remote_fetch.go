package telemetry

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"sync/atomic"
	"time"

	"github.com/gogo/protobuf/jsonpb"
	jaeger "github.com/jaegertracing/jaeger-idl/proto-gen/api_v2"

	"github.com/technoshare/commentator/internal/wire"
)

// strategies asks for sampling strategies over HTTP, and lets only those through that
// jaegerremote can work with: it takes what it is given, and an operation without a rate ends
// the process.
type strategies struct {
	endpoint string
	ctx      context.Context // ends with the sampler, a question under way too
	timeout  time.Duration   // of a question
	news     *strategyNews
	// taken is the last answer that was let through; nil: none. The sampler, which has it a moment
	// later, does not tell what it goes by.
	taken atomic.Pointer[strategy]
}

// strategy is what an answer means for jobs.
type strategy struct {
	revision string  // the beginning of the answer's SHA-256
	says     string  // in words
	ratio    float64 // share of full jobs; 0 where the answer has another measure
}

func byRatio(ratio float64) strategy {
	return strategy{says: FullFor(ratio), ratio: ratio}
}

const (
	strategyTimeout = 10 * time.Second // as jaegerremote has it
	maxStrategies   = 1 << 20          // bytes
)

// asking follows no redirect: whoever is named there was not named by the settings.
var asking = &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}

// Fetch returns the answer for a service.
func (f *strategies) Fetch(service string) ([]byte, error) {
	body, s, err := f.ask(service)
	if f.ctx.Err() != nil {
		return body, err // that the process ends is no news
	}
	f.news.heard(f.ctx, s, err)
	if err == nil {
		f.taken.Store(&s)
	}
	return body, err
}

func (f *strategies) ask(service string) (body []byte, s strategy, err error) {
	ctx, cancel := context.WithTimeout(f.ctx, f.timeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, f.endpoint+"?"+url.Values{"service": {service}}.Encode(), http.NoBody)
	if err != nil {
		return nil, s, err
	}
	response, err := asking.Do(request)
	if wrapped := (*url.Error)(nil); errors.As(err, &wrapped) {
		err = wrapped.Err // the address is told beside it
	}
	if err != nil {
		return nil, s, err
	}
	defer response.Body.Close()
	switch {
	case response.StatusCode >= http.StatusBadRequest:
		return nil, s, fmt.Errorf("it answers %s", response.Status)
	case response.StatusCode >= http.StatusMultipleChoices:
		return nil, s, fmt.Errorf("it answers %s, a redirect to %q, which is not followed; name the right address in OTEL_TRACES_SAMPLER_ARG", response.Status, response.Header.Get("Location"))
	}
	if body, err = io.ReadAll(io.LimitReader(response.Body, maxStrategies)); err != nil {
		return nil, s, err
	}
	s, err = readStrategy(body)
	return body, s, err
}

// readStrategy takes what the sampler takes of an answer for the operation of jobs, in its order.
func readStrategy(body []byte) (strategy, error) {
	var answer jaeger.SamplingStrategyResponse
	if err := jsonpb.Unmarshal(bytes.NewReader(body), &answer); err != nil {
		return strategy{}, fmt.Errorf("its answer is no sampling strategy: %w", err)
	}
	if err := checkStrategy(&answer); err != nil {
		return strategy{}, err
	}
	var s strategy
	operations, share, limit := answer.GetOperationSampling(), answer.GetProbabilisticSampling(), answer.GetRateLimitingSampling()
	switch {
	case operations != nil:
		s = byRatio(operations.GetDefaultSamplingProbability())
		for _, one := range operations.GetPerOperationStrategies() {
			if one.GetOperation() == wire.SpanJob {
				s = byRatio(one.GetProbabilisticSampling().GetSamplingRate())
			}
		}
		if least := operations.GetDefaultLowerBoundTracesPerSecond(); least > 0 {
			s.says += fmt.Sprintf(", at least %v a second", least)
		}
	case share != nil:
		s = byRatio(share.GetSamplingRate())
	case limit != nil:
		s.says = fmt.Sprintf("full for at most %d jobs a second", limit.GetMaxTracesPerSecond())
	default:
		return strategy{}, errors.New("its answer has neither probabilisticSampling nor rateLimitingSampling nor operationSampling")
	}
	sum := sha256.Sum256(body)
	s.revision = hex.EncodeToString(sum[:4])
	return s, nil
}

// checkStrategy refuses an answer that is no strategy: rates are shares of 0 to 1.
func checkStrategy(s *jaeger.SamplingStrategyResponse) error {
	share := func(name string, rate float64) error {
		if rate >= 0 && rate <= 1 {
			return nil
		}
		return fmt.Errorf("its answer has %s %v, which is no number from 0 to 1", name, rate)
	}
	var errs []error
	if p := s.GetProbabilisticSampling(); p != nil {
		errs = append(errs, share("samplingRate", p.GetSamplingRate()))
	}
	if l := s.GetRateLimitingSampling(); l != nil && l.GetMaxTracesPerSecond() < 0 {
		errs = append(errs, fmt.Errorf("its answer has maxTracesPerSecond %d, which is below 0", l.GetMaxTracesPerSecond()))
	}
	if o := s.GetOperationSampling(); o != nil {
		errs = append(errs, share("defaultSamplingProbability", o.GetDefaultSamplingProbability()))
		if bound := o.GetDefaultLowerBoundTracesPerSecond(); !(bound >= 0) {
			errs = append(errs, fmt.Errorf("its answer has defaultLowerBoundTracesPerSecond %v, which is below 0", bound))
		}
		for i, one := range o.GetPerOperationStrategies() {
			if one.GetProbabilisticSampling() == nil {
				errs = append(errs, fmt.Errorf("its answer has no probabilisticSampling for operation %d, %q", i+1, one.GetOperation()))
				continue
			}
			errs = append(errs, share("samplingRate", one.GetProbabilisticSampling().GetSamplingRate()))
		}
	}
	return errors.Join(errs...)
}
