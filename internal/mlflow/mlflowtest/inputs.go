package mlflowtest

import (
	"encoding/json"
	"net/http"
	"slices"

	"github.com/technoshare/commentator/internal/mlflow"
)

// logInputs keeps the first of a dataset of a name and digest, of a run and of its experiment.
func (s *Server) logInputs(in mlflow.LogInputs, _ *http.Request) (any, error) {
	r, err := s.activeRun(in.RunID)
	if err != nil {
		return nil, err
	}
	for _, one := range in.Datasets {
		if d := one.Dataset; d.Name == "" || d.Digest == "" || len([]rune(d.Name)) > mlflow.MaxDatasetName ||
			len([]rune(d.Digest)) > mlflow.MaxDatasetDigest || len([]rune(d.Source)) > mlflow.MaxDatasetSource || !json.Valid([]byte(d.Source)) {
			return nil, invalid("Invalid dataset %q", d.Name)
		}
	}
	for _, one := range in.Datasets {
		like := func(o mlflow.DatasetInput) bool {
			return o.Dataset.Name == one.Dataset.Name && o.Dataset.Digest == one.Dataset.Digest
		}
		if slices.ContainsFunc(r.inputs, like) {
			continue
		}
		for _, other := range s.runs {
			if i := slices.IndexFunc(other.inputs, like); i >= 0 && other.info.ExperimentID == r.info.ExperimentID {
				one = other.inputs[i]
				break
			}
		}
		r.inputs = append(r.inputs, one)
	}
	return nil, nil
}
