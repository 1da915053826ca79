package mlflow

import (
	"context"
	"net/http"
)

// SearchExperiments lists all active experiments.
func (c *Client) SearchExperiments(ctx context.Context) ([]Experiment, error) {
	var all []Experiment
	in := map[string]any{"max_results": 1000, "view_type": ViewActive}
	for {
		var out struct {
			Experiments []Experiment `json:"experiments"`
			Next        string       `json:"next_page_token"`
		}
		if err := c.call(ctx, http.MethodPost, api2+"/experiments/search", nil, in, &out); err != nil {
			return nil, err
		}
		all = append(all, out.Experiments...)
		if out.Next == "" {
			return all, nil
		}
		in["page_token"] = out.Next
	}
}
