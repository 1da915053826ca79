package telemetry

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/gogo/protobuf/jsonpb"
	jaeger "github.com/jaegertracing/jaeger-idl/proto-gen/api_v2"
)

// strategies asks for sampling strategies over HTTP, and lets only those through that
// jaegerremote can work with: it takes what it is given, and an operation without a rate ends
// the process.
type strategies struct {
	endpoint string
	ctx      context.Context // ends with the sampler, a question under way too
}

const (
	strategyTimeout = 10 * time.Second // as jaegerremote has it
	maxStrategies   = 1 << 20          // bytes
)

// Fetch returns the answer for a service.
func (f strategies) Fetch(service string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(f.ctx, strategyTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, f.endpoint+"?"+url.Values{"service": {service}}.Encode(), http.NoBody)
	if err != nil {
		return nil, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	if response.StatusCode >= http.StatusBadRequest {
		return nil, fmt.Errorf("it answers %s", response.Status)
	}
	body, err := io.ReadAll(io.LimitReader(response.Body, maxStrategies))
	if err != nil {
		return nil, err
	}
	return body, checkStrategy(body)
}

// checkStrategy refuses an answer that is no strategy: rates are shares of 0 to 1.
func checkStrategy(body []byte) error {
	var s jaeger.SamplingStrategyResponse
	if err := jsonpb.Unmarshal(bytes.NewReader(body), &s); err != nil {
		return fmt.Errorf("its answer is no sampling strategy: %w", err)
	}
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
