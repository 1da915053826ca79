package mlflowtest

import (
	"encoding/json"
	"maps"
	"net/http"
	"reflect"
	"regexp"
	"slices"
	"strconv"

	"github.com/technoshare/commentator/internal/mlflow"
)

// datasetState is an evaluation dataset.
type datasetState struct {
	mlflow.Dataset
	experiments []string
	records     []mlflow.DatasetRecord
	serial      int // of the last record
}

var datasetFilter = regexp.MustCompile(`^name = '([^']*)'$`)

func (s *Server) datasetRoutes() {
	const path = "/api/3.0/mlflow/datasets"
	find := func(r *http.Request) (*datasetState, error) {
		i := slices.IndexFunc(s.datasets, func(d *datasetState) bool { return d.ID == r.PathValue("id") })
		if i < 0 {
			return nil, notFound("Evaluation dataset with id '%s' not found", r.PathValue("id"))
		}
		return s.datasets[i], nil
	}
	handle(s, "POST "+path+"/search", func(in struct {
		ExperimentIDs []string `json:"experiment_ids"`
		Filter        string   `json:"filter_string"`
	}, _ *http.Request,
	) (any, error) {
		m := datasetFilter.FindStringSubmatch(in.Filter)
		if m == nil {
			return nil, invalid("Invalid filter %q", in.Filter)
		}
		found := []mlflow.Dataset{}
		for _, d := range s.datasets {
			if d.Name == m[1] && slices.ContainsFunc(d.experiments, func(id string) bool { return slices.Contains(in.ExperimentIDs, id) }) {
				found = append(found, d.Dataset)
			}
		}
		return map[string]any{"datasets": found}, nil
	})
	handle(s, "POST "+path+"/create", func(in struct {
		Name          string
		ExperimentIDs []string `json:"experiment_ids"`
		Tags          string
	}, _ *http.Request,
	) (any, error) {
		d := &datasetState{Dataset: mlflow.Dataset{ID: "d-" + strconv.Itoa(len(s.datasets)+1), Name: in.Name, Tags: in.Tags}, experiments: in.ExperimentIDs}
		s.datasets = append(s.datasets, d)
		return map[string]any{"dataset": d.Dataset}, nil
	})
	handle(s, "PATCH "+path+"/{id}/tags", func(in struct{ Tags string }, r *http.Request) (any, error) {
		d, err := find(r)
		if err != nil {
			return nil, err
		}
		tags := map[string]string{}
		for _, text := range []string{d.Tags, in.Tags} { // the later win
			if err := json.Unmarshal([]byte(text), &tags); err != nil {
				return nil, invalid("Invalid tags %q", text)
			}
		}
		merged, err := json.Marshal(tags)
		d.Tags = string(merged)
		return nil, err
	})
	handle(s, "POST "+path+"/{id}/records", func(in struct{ Records string }, r *http.Request) (any, error) {
		d, err := find(r)
		if err != nil {
			return nil, err
		}
		var records []mlflow.DatasetRecord
		if err := json.Unmarshal([]byte(in.Records), &records); err != nil {
			return nil, invalid("Invalid records: %v", err)
		}
		return d.upsert(records), nil
	})
	handle(s, "GET "+path+"/{id}/records", func(_ struct{}, r *http.Request) (any, error) {
		d, err := find(r)
		if err != nil {
			return nil, err
		}
		text, err := json.Marshal(d.records)
		return map[string]any{"records": string(text)}, err
	})
	handle(s, "DELETE "+path+"/{id}/records", func(in struct {
		IDs []string `json:"dataset_record_ids"`
	}, r *http.Request,
	) (any, error) {
		d, err := find(r)
		if err != nil {
			return nil, err
		}
		before := len(d.records)
		d.records = slices.DeleteFunc(d.records, func(o mlflow.DatasetRecord) bool { return slices.Contains(in.IDs, o.ID) })
		return map[string]any{"deleted_count": before - len(d.records)}, nil
	})
}

// upsert adds records, or merges them into those with equal inputs.
func (d *datasetState) upsert(records []mlflow.DatasetRecord) map[string]int {
	inserted, updated := 0, 0
	for _, r := range records {
		i := slices.IndexFunc(d.records, func(o mlflow.DatasetRecord) bool { return reflect.DeepEqual(o.Inputs, r.Inputs) })
		if i >= 0 {
			d.records[i] = mergeRecord(d.records[i], r)
			updated++
			continue
		}
		d.serial++
		r.ID = d.ID + "-" + strconv.Itoa(d.serial)
		d.records = append(d.records, r)
		inserted++
	}
	return map[string]int{"inserted_count": inserted, "updated_count": updated}
}

// mergeRecord changes what a record has, and takes nothing out of it, as MLflow does. Where it
// comes from stays.
func mergeRecord(old, r mlflow.DatasetRecord) mlflow.DatasetRecord {
	merge := func(into, from map[string]any) map[string]any {
		all := map[string]any{}
		maps.Copy(all, into)
		maps.Copy(all, from)
		return all
	}
	old.Expectations, old.Tags = merge(old.Expectations, r.Expectations), merge(old.Tags, r.Tags)
	if r.Outputs != nil {
		old.Outputs = r.Outputs
	}
	return old
}
