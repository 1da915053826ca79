package mlflow

import (
	"context"
	"errors"
	"net/http"
	"net/url"
)

// Experiment as MLflow describes it.
type Experiment struct {
	ID               string     `json:"experiment_id"`
	Name             string     `json:"name"`
	ArtifactLocation string     `json:"artifact_location"`
	Stage            string     `json:"lifecycle_stage"`
	CreationTime     int64      `json:"creation_time"` // ms since 1970
	Tags             []KeyValue `json:"tags"`
}

// GetExperimentByName also finds experiments that are deleted but can be restored; see
// Experiment.Stage. An unknown name is an *Error with CodeNotFound.
func (c *Client) GetExperimentByName(ctx context.Context, name string) (Experiment, error) {
	found, err := c.experiment(ctx, api2+"/experiments/get-by-name", url.Values{"experiment_name": {name}})
	var e *Error
	if errors.As(err, &e) && (e.strange || (e.Status >= 400 && e.Status < 500 && e.Code == "" && !e.Retryable())) {
		e.elsewhere = true // the first call of all: nothing else would do better
	}
	return found, err
}

// GetExperiment reads an experiment by its id.
func (c *Client) GetExperiment(ctx context.Context, id string) (Experiment, error) {
	return c.experiment(ctx, api2+"/experiments/get", url.Values{"experiment_id": {id}})
}

// experiment reads the one that is asked for; an answer without one is an error.
func (c *Client) experiment(ctx context.Context, path string, query url.Values) (Experiment, error) {
	var out struct {
		Experiment Experiment `json:"experiment"`
	}
	err := c.call(ctx, http.MethodGet, path, query, nil, &out)
	if err == nil && out.Experiment.ID == "" {
		err = strangeError("GET "+path, []byte("no experiment"), nil)
	}
	return out.Experiment, err
}

// CreateExperiment gives the id of a new experiment. A name that is taken, by a deleted
// one too, is an *Error with CodeAlreadyExists.
func (c *Client) CreateExperiment(ctx context.Context, name string, tags ...KeyValue) (string, error) {
	return c.CreateExperimentAt(ctx, name, "", tags...)
}

// CreateExperimentAt is CreateExperiment with an artifact location of one's own, such as
// a directory.
func (c *Client) CreateExperimentAt(ctx context.Context, name, location string, tags ...KeyValue) (string, error) {
	in := struct {
		Name     string     `json:"name"`
		Location string     `json:"artifact_location,omitempty"`
		Tags     []KeyValue `json:"tags,omitempty"`
	}{name, location, tags}
	var out struct {
		ID string `json:"experiment_id"`
	}
	err := c.call(ctx, http.MethodPost, api2+"/experiments/create", nil, in, &out)
	return out.ID, err
}

// DeleteExperiment marks an experiment as deleted, which can be taken back.
func (c *Client) DeleteExperiment(ctx context.Context, id string) error {
	return c.call(ctx, http.MethodPost, api2+"/experiments/delete", nil, map[string]string{"experiment_id": id}, nil)
}

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
