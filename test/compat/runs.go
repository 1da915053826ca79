//go:build unix

package main

import (
	"context"
	"fmt"
	"maps"
	"strconv"
	"strings"

	"github.com/technoshare/commentator/internal/mlflow"
	"github.com/technoshare/commentator/internal/mlflow/mlflowtest"
	"github.com/technoshare/commentator/internal/wire"
	"github.com/technoshare/commentator/internal/wire/fixture"
)

func checkRuns(_ context.Context, v *visit) cell {
	type line struct {
		Name, Status string
		Start, End   int64
	}
	want, got := map[string]line{}, map[string]line{}
	for _, r := range v.want.Runs {
		want[r.Key] = line{r.Name, r.Status, r.StartMS, r.EndMS}
	}
	for key, r := range v.after.Runs {
		got[key] = line{r.Name, r.Status, r.Start, r.End}
	}
	return cell{Wrong: diff(want, got)}
}

func checkMetrics(want fixture.Run, got *mlflowtest.Run) string {
	values := map[string]float64{}
	for name, points := range got.Metrics {
		if len(points) != 1 {
			return fmt.Sprintf("%s has %d points", name, len(points))
		}
		text, _, _ := strings.Cut(points[0], "@")
		value, err := strconv.ParseFloat(text, 64)
		if err != nil {
			return err.Error()
		}
		values[name] = value
	}
	return diff(want.Metrics, values)
}

func checkTags(want fixture.Run, got *mlflowtest.Run) string {
	own := maps.Clone(want.Tags)
	delete(own, wire.TagKey) // by which the run was found
	more, system := map[string]string{}, map[string]string{}
	for key, value := range got.Tags {
		if !strings.HasPrefix(key, "mlflow.") {
			more[key] = value
		} else if _, ok := want.SystemTags[key]; ok {
			system[key] = value
		}
	}
	note := got.Tags[mlflow.TagNote]
	for _, piece := range want.NoteContains {
		if !strings.Contains(note, piece) {
			return fmt.Sprintf("the description lacks %q", piece)
		}
	}
	return diff(own, more) + diff(want.SystemTags, system)
}

func checkCost(_ context.Context, v *visit) cell {
	if v.resent != 0 || v.restarted != 0 {
		return cell{Wrong: fmt.Sprintf("sent again it took %d requests, and %d after a restart", v.resent, v.restarted)}
	}
	return cell{}
}

func checkSame(_ context.Context, v *visit) cell {
	return cell{Wrong: diff(v.after, v.again) + diff(v.after, v.anew)}
}
