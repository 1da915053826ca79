//go:build linux

package main

import (
	"context"
	"database/sql"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"strings"

	"github.com/technoshare/commentator/internal/commentator"
	"github.com/technoshare/commentator/internal/reconcile"
	"github.com/technoshare/commentator/internal/wire"
)

// What MLflow holds is compared with the worker's messages by internal/reconcile. Here jobs and
// MLflow are compared with what is known without any message: the siege's own links, which say
// how a job has to end and whether it is recorded, and the results of the stages.

// fullShare is the share of the recorded jobs that are recorded in full.
const fullShare = 0.8

// fateOf is how a job on a link has to end, and whether it is to be recorded.
func fateOf(link string) (outcome commentator.Outcome, recorded bool, err error) {
	if link == "" {
		return commentator.OutcomeNoURLs, true, nil
	}
	u, err := url.Parse(link)
	if err != nil {
		return "", false, fmt.Errorf("read link: %w", err)
	}
	kind, _, _ := strings.Cut(strings.TrimPrefix(u.Path, "/"), "/")
	switch kind {
	case "missing":
		outcome = commentator.OutcomeError
	case "thin":
		outcome = commentator.OutcomeGateFailed
	default:
		outcome = commentator.OutcomeSuccess
	}
	return outcome, u.Hostname() != offDomain, nil
}

// inShare reports whether OpenTelemetry's sampler TraceIdRatioBased, as Go's SDK has it, takes a
// trace: by its last eight bytes without the first bit.
func inShare(trace string, share float64) (bool, error) {
	id, err := hex.DecodeString(trace)
	if err != nil || len(id) != 16 {
		return false, fmt.Errorf("read trace id %q: %d bytes, %w", trace, len(id), err)
	}
	return binary.BigEndian.Uint64(id[8:])>>1 < uint64(share*(1<<63)), nil
}

// judgeFate compares how a job on a link ended and was recorded with what has to be.
func judgeFate(j reconcile.Job, link string) ([]reconcile.Finding, error) {
	outcome, recorded, err := fateOf(link)
	if err != nil {
		return nil, err
	}
	detail := commentator.DetailOff
	if recorded {
		detail = commentator.DetailTracking
		full, err := inShare(j.TraceID, fullShare)
		if err != nil {
			return nil, err
		}
		if full {
			detail = commentator.DetailFull
		}
	}
	var found []reconcile.Finding
	differ := func(item, is, want string) {
		if is != want {
			found = append(found, reconcile.Finding{Job: j.ID, Key: j.TraceID, Item: item + " of the job", Detail: fmt.Sprintf("is %q; a job on %s has %q", is, link, want)})
		}
	}
	differ("outcome", j.Outcome, string(outcome))
	differ("detail", j.Detail, string(detail))
	return found, nil
}

// done is an attempt at a stage that came to a result.
type done struct {
	job          int64
	stage, span  string
	result       string // JSON
	calls, tools int    // of the model, and those that it asked for
}

// doneStages reads the attempts at stages that came to a result, of recorded jobs.
func doneStages(ctx context.Context, db *sql.DB) ([]done, error) {
	rows, err := db.QueryContext(ctx, `
		SELECT s.job_id, s.stage, s.span_id, coalesce(s.result, ''), coalesce(s.analysis, '{}')
		FROM stages s JOIN jobs j ON j.id = s.job_id
		WHERE s.error_type = '' AND j.detail <> 'off' ORDER BY s.id`)
	if err != nil {
		return nil, fmt.Errorf("read stages: %w", err)
	}
	defer rows.Close()
	var all []done
	for rows.Next() {
		var d done
		var analysis string
		if err := rows.Scan(&d.job, &d.stage, &d.span, &d.result, &analysis); err != nil {
			return nil, fmt.Errorf("read stages: %w", err)
		}
		var a commentator.Analysis
		if err := json.Unmarshal([]byte(analysis), &a); err != nil {
			return nil, fmt.Errorf("read analysis of %s of job %d: %w", d.stage, d.job, err)
		}
		d.calls, d.tools = a.Usage.Calls, a.ToolCalls
		all = append(all, d)
	}
	return all, rows.Err()
}

// resultFiles are the artifacts that hold the result of a stage as it is.
var resultFiles = map[string]string{
	string(commentator.StageRetrieval): wire.ArtifactEvidence,
	string(commentator.StageA):         wire.ArtifactFacts,
	string(commentator.StageB):         wire.ArtifactComment,
}

// judgeFile compares the artifact of a stage's result, in the folder of its run, with the result.
// The pages of the site hold nothing that is masked.
func judgeFile(d done, trace, folder string) ([]reconcile.Finding, error) {
	name, ok := resultFiles[d.stage]
	if !ok {
		return nil, nil
	}
	f := reconcile.Finding{Job: d.job, Key: trace + "-" + d.span, Item: "content of " + name}
	file, err := os.ReadFile(filepath.Join(folder, name))
	if errors.Is(err, fs.ErrNotExist) {
		f.Detail = "is not there, though the stage has a result"
		return []reconcile.Finding{f}, nil
	}
	if err != nil {
		return nil, err
	}
	if !json.Valid(file) {
		f.Detail = fmt.Sprintf("is no JSON (%d bytes)", len(file))
		return []reconcile.Finding{f}, nil
	}
	var held, want any
	if err := json.Unmarshal(file, &held); err != nil {
		return nil, fmt.Errorf("read %s of job %d: %w", name, d.job, err)
	}
	if err := json.Unmarshal([]byte(d.result), &want); err != nil {
		return nil, fmt.Errorf("read result of %s of job %d: %w", d.stage, d.job, err)
	}
	if reflect.DeepEqual(held, want) {
		return nil, nil
	}
	f.Detail = fmt.Sprintf("is not the result of the stage (%d and %d bytes)", len(file), len(d.result))
	return []reconcile.Finding{f}, nil
}

// judgeDetails compares the detail spans below a stage with the calls that the stage counted.
func judgeDetails(d done, j reconcile.Job, spans []reconcile.Span) []reconcile.Finding {
	var found []reconcile.Finding
	for _, kind := range []struct {
		name string
		want int
	}{{wire.SpanChatPrefix, d.calls}, {wire.SpanToolSearch, d.tools}} {
		n := 0
		for _, s := range spans {
			if s.Parent == d.span && strings.HasPrefix(s.Name, kind.name) {
				n++
			}
		}
		if n != kind.want {
			found = append(found, reconcile.Finding{
				Job: d.job, Key: "tr-" + j.TraceID, Item: fmt.Sprintf("spans %q below %s", kind.name, d.stage),
				Detail: fmt.Sprintf("are %d; the stage counted %d", n, kind.want),
			})
		}
	}
	return found
}

// judgeKnown compares jobs and MLflow with what is known without messages. It counts what it
// compared, by kind.
func (s *siege) judgeKnown(ctx context.Context, links map[int64]string) (found []reconcile.Finding, n known, err error) {
	jobs := map[int64]reconcile.Job{}
	for j, err := range reconcile.Jobs(ctx, s.database()) {
		if err != nil {
			return nil, n, err
		}
		jobs[j.ID] = j
		fate, err := judgeFate(j, links[j.ID])
		if err != nil {
			return nil, n, err
		}
		found, n.Fates = append(found, fate...), n.Fates+1
	}
	db, err := openReadOnly(s.database())
	if err != nil {
		return nil, n, err
	}
	defer db.Close()
	stages, err := doneStages(ctx, db)
	if err != nil {
		return nil, n, err
	}
	held, err := openHeld(s.mlflow())
	if err != nil {
		return nil, n, err
	}
	defer held.db.Close()
	traces, err := held.traces()
	if err != nil {
		return nil, n, fmt.Errorf("read traces of MLflow: %w", err)
	}
	spans := map[string][]reconcile.Span{}
	for _, t := range traces {
		spans[t.ID] = t.Spans
	}
	folders, err := held.folders()
	if err != nil {
		return nil, n, err
	}
	for _, d := range stages {
		j := jobs[d.job]
		files, err := judgeFile(d, j.TraceID, folders[j.TraceID+"-"+d.span])
		if err != nil {
			return nil, n, err
		}
		found, n.Results = append(found, files...), n.Results+1
		if j.Detail == string(commentator.DetailFull) {
			found = append(found, judgeDetails(d, j, spans["tr-"+j.TraceID])...)
			n.Calls += d.calls + d.tools
		}
	}
	return found, n, nil
}

// known is how much was compared with what is known without messages.
type known struct {
	Fates   int `json:"fates"`   // jobs, with what their link says
	Results int `json:"results"` // stages, with their artifacts
	Calls   int `json:"calls"`   // of the model and of tools, with detail spans
}
