package main

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/technoshare/commentator/data"
	"github.com/technoshare/commentator/internal/evaluation"
	"github.com/technoshare/commentator/internal/mlflow"
)

type datasetCmd struct {
	Sync datasetSyncCmd `cmd:"" help:"Make MLflow's evaluation dataset hold what the file holds."`
}

type datasetSyncCmd struct {
	Dataset string `help:"The dataset. Default: eval_dataset.json in DATA_DIR." placeholder:"FILE"`
	Into    string `help:"Experiment of the dataset. Default: EVAL_EXPERIMENT_NAME." placeholder:"NAME"`
	JSON    bool   `name:"json" help:"Print one JSON object."`
}

// synced is the JSON of `mlflowctl dataset sync`; the names are a contract.
type synced struct {
	DatasetID string `json:"dataset_id"`
	Name      string `json:"name"`
	Hash      string `json:"hash"`
	Added     int    `json:"added"`
	Updated   int    `json:"updated"`
	Removed   int    `json:"removed"`
	Foreign   int    `json:"foreign"` // records of others, which stay
}

// tagExample marks the records that come from the file, with the example's id.
const tagExample = "example"

// Help is shown below the flags.
func (datasetSyncCmd) Help() string {
	return `Records that an earlier sync wrote and that the file does not have any more are removed; those that people added in MLflow stay. The dataset's tag version_hash is the hash that results of evaluations carry.`
}

// Run syncs.
func (c *datasetSyncCmd) Run(env environment) error {
	loaded, err := data.Load(env.ctx, env.config.DataDir)
	if err != nil {
		return err
	}
	path, into := c.Dataset, c.Into
	if path == "" {
		path = filepath.Join(env.config.DataDir, "eval_dataset.json")
	}
	if into == "" {
		into = env.config.EvalExperiment
	}
	d, err := evaluation.LoadDataset(path, loaded.ThemeNames())
	if err != nil {
		return err
	}
	out, err := env.syncDataset(d, into)
	if err != nil {
		return fmt.Errorf("sync dataset %s: %w", d.Name, err)
	}
	if c.JSON {
		return json.NewEncoder(env.stdout).Encode(out)
	}
	_, err = fmt.Fprintf(env.stdout, "dataset %s (%s) in experiment %s: %d added, %d updated, %d removed, %d of others left alone; version hash %s\n",
		out.Name, out.DatasetID, into, out.Added, out.Updated, out.Removed, out.Foreign, out.Hash)
	return err
}

func (env environment) syncDataset(d *evaluation.Dataset, experiment string) (synced, error) {
	out := synced{Name: d.Name, Hash: d.Hash()}
	experimentID, err := env.experimentID(experiment)
	if err != nil {
		return out, err
	}
	tags := map[string]string{"version_hash": out.Hash, "version": d.Version, "description": d.Description}
	found, err := env.client.SearchDatasets(env.ctx, experimentID, d.Name)
	switch {
	case err != nil:
		return out, err
	case len(found) > 0:
		out.DatasetID = found[0].ID
		err = env.client.SetDatasetTags(env.ctx, out.DatasetID, tags)
	default:
		var made mlflow.Dataset
		made, err = env.client.CreateDataset(env.ctx, experimentID, d.Name, tags)
		out.DatasetID = made.ID
	}
	if err != nil {
		return out, err
	}
	if out.Added, out.Updated, err = env.client.UpsertDatasetRecords(env.ctx, out.DatasetID, records(d)); err != nil {
		return out, err
	}
	return out, env.removeRecords(d, &out)
}

// removeRecords removes what an earlier sync wrote and the file does not have any more.
func (env environment) removeRecords(d *evaluation.Dataset, out *synced) error {
	held, err := env.client.DatasetRecords(env.ctx, out.DatasetID)
	if err != nil {
		return err
	}
	wanted := map[string]bool{}
	for _, e := range d.Examples {
		wanted[recordKey(e.ID, e.URL, e.SlackText)] = true
	}
	var gone []string
	for _, r := range held {
		id := r.Tags[tagExample]
		switch {
		case id == "":
			out.Foreign++
		case !wanted[recordKey(id, fmt.Sprint(r.Inputs["url"]), fmt.Sprint(r.Inputs["slack_text"]))]:
			gone = append(gone, r.ID)
		}
	}
	if len(gone) == 0 {
		return nil
	}
	out.Removed = len(gone)
	return env.client.DeleteDatasetRecords(env.ctx, out.DatasetID, gone)
}

func recordKey(parts ...string) string { return strings.Join(parts, "\x00") }

// records are the examples in MLflow's form.
func records(d *evaluation.Dataset) []mlflow.DatasetRecord {
	var all []mlflow.DatasetRecord
	for _, e := range d.Examples {
		r := mlflow.DatasetRecord{
			Inputs: map[string]any{"url": e.URL, "slack_text": e.SlackText},
			Tags:   map[string]string{tagExample: e.ID, "tags": strings.Join(e.Tags, ","), "notes": e.Notes, "example_hash": e.Hash()},
			Source: &mlflow.DatasetRecordSource{Type: "DOCUMENT", Data: map[string]string{"doc_uri": e.URL}},
		}
		if e.ExpectedTheme != "" {
			r.Expectations = map[string]any{"expected_theme": e.ExpectedTheme}
		}
		all = append(all, r)
	}
	return all
}

// experimentID finds an experiment, or makes it as the exporter would, which may do so at the
// same moment.
func (env environment) experimentID(name string) (string, error) {
	exp, err := env.client.GetExperimentByName(env.ctx, name)
	if mlflow.IsCode(err, mlflow.CodeNotFound) {
		id, failed := env.client.CreateExperiment(env.ctx, name, mlflow.KeyValue{Key: mlflow.TagExperiment, Value: mlflow.ExperimentGenAI})
		if !mlflow.IsCode(failed, mlflow.CodeAlreadyExists) {
			return id, failed
		}
		exp, err = env.client.GetExperimentByName(env.ctx, name)
	}
	if err != nil {
		return "", err
	}
	if exp.Stage == mlflow.Deleted {
		return "", fmt.Errorf("experiment %s is deleted; restore it, or name another by --into", name)
	}
	return exp.ID, nil
}
