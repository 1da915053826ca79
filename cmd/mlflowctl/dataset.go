package main

import (
	"fmt"
	"maps"
	"os/user"
	"path/filepath"
	"slices"

	"github.com/technoshare/commentator/data"
	"github.com/technoshare/commentator/internal/evaluation"
	"github.com/technoshare/commentator/internal/mlflow"
	"github.com/technoshare/commentator/internal/plainjson"
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
	Updated   int    `json:"updated"` // as far as they differed
	Removed   int    `json:"removed"`
	Foreign   int    `json:"foreign"` // records of others, which stay
}

// Help is shown below the flags.
func (datasetSyncCmd) Help() string {
	return `Records that an earlier sync wrote and that the file does not have any more are removed; those that people added in MLflow stay, and so do tags and expectations that they added to a record. expected_theme is the file's. The dataset's tag version_hash is the hash that results of evaluations carry.`
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
		return plainjson.Lines(env.stdout).Encode(out)
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
	tags := map[string]string{"version": d.Version, "description": d.Description}
	found, err := env.client.SearchDatasets(env.ctx, experimentID, d.Name)
	switch {
	case err != nil:
		return out, err
	case len(found) > 0:
		out.DatasetID = found[0].ID
	default:
		made, err := env.client.CreateDataset(env.ctx, experimentID, d.Name, created(tags))
		if err != nil {
			return out, err
		}
		out.DatasetID = made.ID
	}
	held, err := env.client.DatasetRecords(env.ctx, out.DatasetID)
	if err != nil {
		return out, err
	}
	p := planRecords(records(d), held)
	if err := env.syncRecords(out.DatasetID, p); err != nil {
		return out, err
	}
	out.Added, out.Updated, out.Removed, out.Foreign = p.added, p.updated, p.removed, p.foreign
	// Last, so that the hash is never that of records which are not there yet.
	tags["version_hash"] = out.Hash
	return out, env.client.SetDatasetTags(env.ctx, out.DatasetID, tags)
}

// created is the tags of a new dataset: MLflow shows the user in "Created by", which later syncs by others leave
// as it is.
func created(tags map[string]string) map[string]string {
	u, err := user.Current()
	if err != nil { // a process without one makes a dataset all the same
		return tags
	}
	tags = maps.Clone(tags)
	tags[mlflow.TagUser] = u.Username
	return tags
}

// syncRecords does what is planned. Killed at any point, it loses nothing that people added: the
// next sync finds it in the records that keep it.
func (env environment) syncRecords(id string, p recordPlan) error {
	if len(p.keep) > 0 {
		if _, _, err := env.client.UpsertDatasetRecords(env.ctx, id, p.keep); err != nil {
			return err
		}
	}
	if len(p.remake) > 0 {
		if err := env.client.DeleteDatasetRecords(env.ctx, id, p.remake); err != nil {
			return err
		}
	}
	if len(p.write) > 0 {
		if _, _, err := env.client.UpsertDatasetRecords(env.ctx, id, p.write); err != nil {
			return err
		}
	}
	remove := p.remove
	if len(p.keep) > 0 { // only MLflow knows their ids
		held, err := env.client.DatasetRecords(env.ctx, id)
		if err != nil {
			return err
		}
		for _, r := range held {
			if _, keeps := r.Inputs[inputKept]; keeps && !slices.Contains(remove, r.ID) {
				remove = append(remove, r.ID)
			}
		}
	}
	if len(remove) == 0 {
		return nil
	}
	return env.client.DeleteDatasetRecords(env.ctx, id, remove)
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
