package mlflow

import (
	"context"
	"net/http"
)

// SearchExperiments lists all active experiments.
func (c *Client) SearchExperiments(ctx context.Context) ([]Experiment, error) {
	return c.searchExperiments(ctx, ViewActive)
}

// SearchAllExperiments lists all experiments, those that are deleted and can be restored too.
func (c *Client) SearchAllExperiments(ctx context.Context) ([]Experiment, error) {
	return c.searchExperiments(ctx, ViewAll)
}

// SetExperimentTag sets one tag of an experiment, which must not be deleted.
func (c *Client) SetExperimentTag(ctx context.Context, id, key, value string) error {
	in := struct {
		ID string `json:"experiment_id"`
		KeyValue
	}{id, KeyValue{key, value}}
	return c.call(ctx, http.MethodPost, api2+"/experiments/set-experiment-tag", nil, in, nil)
}

func (c *Client) searchExperiments(ctx context.Context, view string) ([]Experiment, error) {
	var all []Experiment
	in := map[string]any{"max_results": 1000, "view_type": view}
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
