package validate

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// uptimeQuery is the share of the last seven days in which the Collector found MLflow there, of
// the time in which it ran; of several Collectors the least.
const uptimeQuery = "min(avg_over_time(otelcol_exporter_mlflow_up[7d]))"

// Uptime asks a Prometheus that reads the Collector's own metrics.
func Uptime(ctx context.Context, prometheus string) (float64, error) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	share, err := ask(ctx, strings.TrimRight(prometheus, "/")+"/api/v1/query?query="+url.QueryEscape(uptimeQuery))
	if err != nil {
		return 0, fmt.Errorf("ask Prometheus at %s for the uptime of MLflow: %w", prometheus, err)
	}
	return share, nil
}

func ask(ctx context.Context, address string) (float64, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return 0, err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err
	}
	defer res.Body.Close()
	var answer struct {
		Status string `json:"status"`
		Error  string `json:"error"`
		Data   struct {
			Result []struct {
				Value [2]any `json:"value"` // time and number as text
			} `json:"result"`
		} `json:"data"`
	}
	if err := json.NewDecoder(res.Body).Decode(&answer); err != nil {
		return 0, fmt.Errorf("%s is no answer of Prometheus: %w", res.Status, err)
	}
	switch {
	case answer.Status != "success":
		return 0, errors.New(answer.Error)
	case len(answer.Data.Result) == 0:
		return 0, errors.New("it does not know otelcol_exporter_mlflow_up; does it read 127.0.0.1:8888/metrics of the Collector?")
	}
	text, _ := answer.Data.Result[0].Value[1].(string) // anything else is no number
	share, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return 0, fmt.Errorf("read its answer: %w", err)
	}
	return share, nil
}
