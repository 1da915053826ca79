package mlflow

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

// Dataset is an evaluation dataset of MLflow, 3.4 or later, on a SQL store. Names are not unique.
type Dataset struct {
	ID   string `json:"dataset_id"`
	Name string `json:"name"`
	Tags string `json:"tags"` // a JSON object of texts
}

// DatasetRecord is a record of a dataset. Records with equal inputs are one.
type DatasetRecord struct {
	ID           string               `json:"dataset_record_id,omitempty"`
	Inputs       map[string]any       `json:"inputs"`
	Outputs      any                  `json:"outputs,omitempty"`
	Expectations map[string]any       `json:"expectations,omitempty"`
	Tags         map[string]any       `json:"tags,omitempty"` // MLflow takes values that are no texts too
	Source       *DatasetRecordSource `json:"source,omitempty"`
}

// DatasetRecordSource says where a record comes from.
type DatasetRecordSource struct {
	Type string         `json:"source_type"` // DOCUMENT, HUMAN, CODE or TRACE
	Data map[string]any `json:"source_data"`
}

const datasetsPath = api3 + "/datasets"

// SearchDatasets lists the datasets of an experiment with a name.
func (c *Client) SearchDatasets(ctx context.Context, experimentID, name string) ([]Dataset, error) {
	var all []Dataset
	in := map[string]any{
		"experiment_ids": []string{experimentID}, "max_results": 100,
	}
	if !strings.Contains(name, "'") { // which MLflow's filters have no way to write
		in["filter_string"] = "name = '" + name + "'"
	}
	for {
		var out struct {
			Datasets []Dataset `json:"datasets"`
			Next     string    `json:"next_page_token"`
		}
		if err := c.call(ctx, http.MethodPost, datasetsPath+"/search", nil, in, &out); err != nil {
			return nil, err
		}
		for _, d := range out.Datasets {
			if d.Name == name {
				all = append(all, d)
			}
		}
		if out.Next == "" {
			return all, nil
		}
		in["page_token"] = out.Next
	}
}

// CreateDataset makes a dataset in an experiment. Called again it makes another one.
func (c *Client) CreateDataset(ctx context.Context, experimentID, name string, tags map[string]string) (Dataset, error) {
	text, err := json.Marshal(tags)
	if err != nil {
		return Dataset{}, fmt.Errorf("encode tags: %w", err)
	}
	var out struct {
		Dataset Dataset `json:"dataset"`
	}
	in := map[string]any{"name": name, "experiment_ids": []string{experimentID}, "tags": string(text)}
	err = c.call(ctx, http.MethodPost, datasetsPath+"/create", nil, in, &out)
	return out.Dataset, err
}

// SetDatasetTags sets tags; others stay.
func (c *Client) SetDatasetTags(ctx context.Context, id string, tags map[string]string) error {
	text, err := json.Marshal(tags)
	if err != nil {
		return fmt.Errorf("encode tags: %w", err)
	}
	return c.call(ctx, http.MethodPatch, datasetsPath+"/"+url.PathEscape(id)+"/tags", nil, map[string]any{"tags": string(text)}, nil)
}

// UpsertDatasetRecords adds records, or merges them into those with equal inputs.
func (c *Client) UpsertDatasetRecords(ctx context.Context, id string, records []DatasetRecord) (inserted, updated int, err error) {
	text, err := json.Marshal(records)
	if err != nil {
		return 0, 0, fmt.Errorf("encode records: %w", err)
	}
	var out struct {
		Inserted int `json:"inserted_count"`
		Updated  int `json:"updated_count"`
	}
	err = c.call(ctx, http.MethodPost, datasetsPath+"/"+url.PathEscape(id)+"/records", nil, map[string]any{"records": string(text)}, &out)
	return out.Inserted, out.Updated, err
}

// DatasetRecords lists all records of a dataset.
func (c *Client) DatasetRecords(ctx context.Context, id string) ([]DatasetRecord, error) {
	var all []DatasetRecord
	q := url.Values{"max_results": {"1000"}}
	for {
		var out struct {
			Records string `json:"records"` // a JSON list
			Next    string `json:"next_page_token"`
		}
		if err := c.call(ctx, http.MethodGet, datasetsPath+"/"+url.PathEscape(id)+"/records", q, nil, &out); err != nil {
			return nil, err
		}
		var page []DatasetRecord
		if out.Records != "" {
			if err := json.Unmarshal([]byte(out.Records), &page); err != nil {
				return nil, fmt.Errorf("decode records: %w", err)
			}
		}
		all = append(all, page...)
		if out.Next == "" {
			return all, nil
		}
		q.Set("page_token", out.Next)
	}
}

// DeleteDatasetRecords removes records.
func (c *Client) DeleteDatasetRecords(ctx context.Context, id string, records []string) error {
	return c.call(ctx, http.MethodDelete, datasetsPath+"/"+url.PathEscape(id)+"/records", nil, map[string]any{"dataset_record_ids": records}, nil)
}
