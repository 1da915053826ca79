//go:build unix

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/technoshare/commentator/internal/mlflow"
)

func checkTrace(_ context.Context, v *visit) cell {
	type trace struct {
		State       string
		Start, Took int64
		Spans       map[string]string
	}
	w, got := v.want.Traces[0], v.after.Traces[v.want.Traces[0].ID]
	if got == nil || len(v.after.Traces) != 1 {
		return cell{Wrong: fmt.Sprintf("there are %d traces", len(v.after.Traces))}
	}
	want := trace{w.State, w.RequestMS, w.DurationMS, map[string]string{}}
	for _, s := range w.Spans {
		want.Spans[s.ID] = strings.Join([]string{s.Parent, s.Name, s.Type, "STATUS_CODE_" + s.Status}, " | ")
	}
	wrong := diff(want, trace{got.State, got.Time, got.Duration, got.Spans})
	for _, line := range v.log {
		wrong += "the log says: " + line + "\n"
	}
	return cell{Wrong: wrong}
}

func checkName(_ context.Context, v *visit) cell {
	return cell{Wrong: diff(v.want.Traces[0].Name, v.after.Info.Tags[mlflow.TagTraceName])}
}

func checkLink(_ context.Context, v *visit) cell {
	return cell{Wrong: diff([]string{v.want.Traces[0].ID}, v.after.Linked)}
}

func checkSession(_ context.Context, v *visit) cell {
	w, got := v.want.Traces[0], v.after.Info.Metadata
	return cell{Wrong: diff([]string{w.Session, w.User}, []string{got[mlflow.MetaSession], got[mlflow.MetaUser]})}
}

func checkTokens(_ context.Context, v *visit) cell {
	var got map[string]int64
	if err := json.Unmarshal([]byte(v.after.Info.Metadata[mlflow.MetaTokenUsage]), &got); err != nil {
		return cell{Wrong: err.Error()}
	}
	return cell{Wrong: diff(v.want.Traces[0].TokenUsage, got)}
}

func checkTraceCost(_ context.Context, v *visit) cell {
	var got struct {
		Total float64 `json:"total_cost"`
	}
	if err := json.Unmarshal([]byte(v.after.Info.Metadata[mlflow.MetaCost]), &got); err != nil {
		return cell{Wrong: err.Error()}
	}
	return cell{Wrong: diff(v.want.Traces[0].CostUSD, got.Total)}
}

func checkLate(_ context.Context, v *visit) cell {
	id := v.want.Traces[0].ID
	before, after := v.before.Traces[id], v.after.Traces[id]
	if before == nil || after == nil {
		return cell{Wrong: "there is no trace"}
	}
	all := len(v.want.Traces[0].Spans)
	wrong := diff([]int{all - 1, all}, []int{len(before.Spans), len(after.Spans)})
	rest := *after
	rest.Spans = before.Spans
	return cell{Wrong: wrong + diff(before, &rest)}
}
