package main

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/technoshare/commentator/internal/evaluation"
	"github.com/technoshare/commentator/internal/mlflow"
)

const (
	// tagExample marks the records that come from the file, with the example's id.
	tagExample = "example"

	// expectedTheme is the only expectation that is the file's; all others are people's.
	expectedTheme = "expected_theme"

	// inputKept marks a record that holds what people added to another one while that one is
	// made anew. It has an input more, since MLflow makes records with equal inputs one.
	inputKept = "kept_by_dataset_sync"
)

// fileTags are the tags of a record that are the file's; all others are people's.
var fileTags = []string{tagExample, "tags", "notes", "example_hash"}

// records are the examples in MLflow's form. Of examples with equal inputs MLflow keeps the last.
func records(d *evaluation.Dataset) []mlflow.DatasetRecord {
	var all []mlflow.DatasetRecord
	at := map[string]int{}
	for _, e := range d.Examples {
		r := mlflow.DatasetRecord{
			Inputs: map[string]any{"url": e.URL, "slack_text": e.SlackText},
			Tags:   map[string]any{tagExample: e.ID, "tags": strings.Join(e.Tags, ","), "notes": e.Notes, "example_hash": e.Hash()},
			Source: &mlflow.DatasetRecordSource{Type: "DOCUMENT", Data: map[string]any{"doc_uri": e.URL}},
		}
		if e.ExpectedTheme != "" {
			r.Expectations = map[string]any{expectedTheme: e.ExpectedTheme}
		}
		if i, ok := at[recordKey(r)]; ok {
			all[i] = r
			continue
		}
		at[recordKey(r)] = len(all)
		all = append(all, r)
	}
	return all
}

func recordKey(r mlflow.DatasetRecord) string {
	return fmt.Sprint(r.Inputs["url"]) + "\x00" + fmt.Sprint(r.Inputs["slack_text"])
}

// recordPlan is what makes a dataset hold what it should, in the order in which it is done.
type recordPlan struct {
	keep   []mlflow.DatasetRecord // hold what people added to those that are made anew
	remake []string               // are removed because MLflow takes no expectation out of a record
	write  []mlflow.DatasetRecord // are added, or merged into those that are there
	remove []string

	added, updated, removed, foreign int
}

// planRecords compares what the file says with what MLflow holds.
func planRecords(want, held []mlflow.DatasetRecord) recordPlan {
	var p recordPlan
	present, kept := map[string]mlflow.DatasetRecord{}, map[string]mlflow.DatasetRecord{}
	var others []mlflow.DatasetRecord
	for _, r := range held {
		switch _, keeps := r.Inputs[inputKept]; {
		case keeps:
			kept[recordKey(r)] = r
			p.remove = append(p.remove, r.ID)
		case len(r.Inputs) == 2 && r.Inputs["url"] != nil && r.Inputs["slack_text"] != nil:
			present[recordKey(r)] = r
		default:
			others = append(others, r)
		}
	}
	for _, w := range want {
		key := recordKey(w)
		r, ok := present[key]
		delete(present, key)
		_, dropped := r.Expectations[expectedTheme]
		dropped = dropped && w.Expectations == nil
		switch {
		case !ok: // an earlier sync may have been killed while it made the record anew
			p.added++
			p.write = append(p.write, withPeoples(w, kept[key]))
		case dropped:
			p.updated++
			whole := withPeoples(w, merged(kept[key], r))
			p.remake = append(p.remake, r.ID)
			p.write = append(p.write, whole)
			if k, some := keeper(whole, w); some {
				p.keep = append(p.keep, k)
			}
		case !holds(r.Expectations, w.Expectations) || !holds(r.Tags, w.Tags):
			p.updated++
			p.write = append(p.write, w)
		}
	}
	for _, r := range present {
		others = append(others, r)
	}
	for _, r := range others {
		if id, _ := r.Tags[tagExample].(string); id == "" {
			p.foreign++
			continue
		}
		p.removed++
		p.remove = append(p.remove, r.ID)
	}
	slices.Sort(p.remove)
	return p
}

// holds reports whether all that is wanted is there; what people added does not count.
func holds(got, want map[string]any) bool {
	for name, value := range want {
		if !reflect.DeepEqual(got[name], value) {
			return false
		}
	}
	return true
}

// withPeoples adds to a record what people added to the one that is or was there.
func withPeoples(w, from mlflow.DatasetRecord) mlflow.DatasetRecord {
	w.Expectations, w.Tags = maps.Clone(w.Expectations), maps.Clone(w.Tags)
	for name, value := range from.Expectations {
		if name != expectedTheme {
			w.Expectations = with(w.Expectations, name, value)
		}
	}
	for name, value := range from.Tags {
		if !slices.Contains(fileTags, name) {
			w.Tags = with(w.Tags, name, value)
		}
	}
	w.Outputs = from.Outputs
	if from.Source != nil {
		w.Source = from.Source
	}
	return w
}

// merged is a record with what a later one says instead, as MLflow merges them.
func merged(r, later mlflow.DatasetRecord) mlflow.DatasetRecord {
	m := later
	m.Expectations, m.Tags = maps.Clone(r.Expectations), maps.Clone(r.Tags)
	for name, value := range later.Expectations {
		m.Expectations = with(m.Expectations, name, value)
	}
	for name, value := range later.Tags {
		m.Tags = with(m.Tags, name, value)
	}
	return m
}

func with(m map[string]any, name string, value any) map[string]any {
	if m == nil {
		m = map[string]any{}
	}
	m[name] = value
	return m
}

// keeper makes the record that holds what people added, unless that is nothing. Whole is what is
// written, w what the file says of it.
func keeper(whole, w mlflow.DatasetRecord) (mlflow.DatasetRecord, bool) {
	k := whole
	k.Inputs = with(maps.Clone(whole.Inputs), inputKept, true)
	k.Tags = maps.Clone(whole.Tags)
	maps.DeleteFunc(k.Tags, func(name string, _ any) bool { return slices.Contains(fileTags, name) })
	return k, len(k.Expectations)+len(k.Tags) > 0 || !empty(k.Outputs) || !reflect.DeepEqual(k.Source, w.Source)
}

// empty reports whether a record has no outputs; MLflow gives each new one an empty object.
func empty(outputs any) bool {
	m, ok := outputs.(map[string]any)
	return outputs == nil || ok && len(m) == 0
}
