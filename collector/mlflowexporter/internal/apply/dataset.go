package apply

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/technoshare/commentator/collector/mlflowexporter/internal/reduce"
	"github.com/technoshare/commentator/internal/mlflow"
	"github.com/technoshare/commentator/internal/plainjson"
)

// logDatasets says which data a run is about. MLflow keeps what a run has, so that an older version
// of it adds its own.
func (a *Applier) logDatasets(ctx context.Context, r *run, datasets []reduce.Dataset) error {
	if len(datasets) == 0 || r.rec.Gone {
		return nil
	}
	in := mlflow.LogInputs{RunID: r.rec.ID}
	for _, d := range datasets {
		in.Datasets = append(in.Datasets, mlflow.DatasetInput{Dataset: datasetInput(d)})
	}
	err := a.failed.result("inputs", r.Key, a.call(ctx, func() error { return a.client.LogInputs(ctx, in) }))
	var e *mlflow.Error
	if errors.As(err, &e) && e.NoRoute() {
		return nil // a server, or a gateway before it, that knows no inputs: the params are there
	}
	if err = a.lost(ctx, r, err); err != nil {
		err = fmt.Errorf("log datasets of run %s: %w", r.Name, err)
	}
	return a.orBury(r, err)
}

// datasetInput is a dataset as MLflow's SDK writes one that it reads from there.
func datasetInput(d reduce.Dataset) mlflow.InputDataset {
	out := mlflow.InputDataset{Name: d.Name, Digest: d.Digest}
	var source any
	switch {
	case d.Source == "":
		out.SourceType, source = mlflow.SourceTypeCode, map[string]any{"tags": map[string]string{}}
	case strings.HasPrefix(d.Source, "http://"), strings.HasPrefix(d.Source, "https://"):
		out.SourceType, source = mlflow.SourceTypeHTTP, map[string]string{"url": d.Source}
	default:
		out.SourceType, source = mlflow.SourceTypeLocal, map[string]string{"uri": d.Source}
	}
	text, _ := plainjson.Marshal(source) // texts: cannot fail
	out.Source = string(text)
	return out
}
