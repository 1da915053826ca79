package doctor

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"

	"github.com/technoshare/commentator/internal/bytesize"
	"github.com/technoshare/commentator/internal/mlflow"
)

// artifactFile is where a file of a run would be, below a directory of its own. MLflow does not
// ask whether there is such a run.
const artifactFile = "artifacts/doctor.txt"

func probeArtifacts(ctx context.Context, p *Patient) Finding {
	e, note, err := p.trial(ctx)
	if err != nil {
		return skip("there is no experiment to try it in: %v", err)
	}
	name := "doctor-" + hex.EncodeToString(random(8))
	content := []byte("mlflowctl doctor wrote this file and removes it again: " + name + "\n")
	if root, served := p.MLflow.ArtifactURL(e.ArtifactLocation); served {
		return p.servedArtifact(ctx, root, name, content, note)
	}
	if dir, local := localDir(e.ArtifactLocation); local {
		return localArtifact(dir, name, content, note)
	}
	return Finding{
		Status: Warn, Found: fmt.Sprintf("the artifacts of experiment %s are at %s, where MLflow itself writes them for others, up to %s each%s", e.Name, e.ArtifactLocation, bytesize.Format(mlflow.MaxUpload), note),
		Means: "It was not tried: that takes a run, which could only be marked as deleted. Larger artifacts become dead letters.",
		Fix:   "Use an experiment that was made while MLflow served artifacts (--artifacts-destination): its location begins with mlflow-artifacts:.",
	}
}

func (p *Patient) servedArtifact(ctx context.Context, root, name string, content []byte, note string) Finding {
	if err := p.MLflow.PutArtifact(ctx, root, name+"/"+artifactFile, content); err != nil {
		// MLflow makes the directory before the file.
		_ = p.MLflow.RemoveArtifacts(context.WithoutCancel(ctx), root, name)
		return Finding{
			Status: Fail, Found: fmt.Sprintf("it does not write a file%s: %v", note, err),
			Means: "Runs come without artifacts, which wait in the Collector's queue or become dead letters.", Fix: artifactRemedy(err),
		}
	}
	back, err := p.MLflow.ReadArtifact(ctx, root, name+"/"+artifactFile)
	if err == nil && !bytes.Equal(back, content) {
		err = fmt.Errorf("%d bytes came back, which differ from the %d that were written", len(back), len(content))
	}
	removeErr := p.MLflow.RemoveArtifacts(context.WithoutCancel(ctx), root, name)
	wrote := "a file of " + bytesize.Format(int64(len(content))) + " in " + name + ", removed again"
	if removeErr != nil {
		wrote = fmt.Sprintf("%s/%s, which could not be removed: %v", name, artifactFile, removeErr)
	}
	switch {
	case err != nil:
		return Finding{
			Status: Fail, Found: fmt.Sprintf("it wrote a file%s and does not give it back: %v", note, err), Wrote: wrote,
			Means: "Artifacts are lost, or cannot be looked at.", Fix: artifactRemedy(err),
		}
	case removeErr != nil:
		return Finding{
			Status: Warn, Found: "it writes and reads artifacts" + note + ", and did not remove one", Wrote: wrote,
			Means: "A small file stays among the artifacts of the experiment, in a directory of its own.",
			Fix:   "Let the user of MLFLOW_TRACKING_URI manage the experiment (permission MANAGE), or remove the file by hand.",
		}
	}
	return Finding{Status: OK, Found: "it wrote a file and gave it back" + note, Wrote: wrote}
}

func artifactRemedy(err error) string {
	var e *mlflow.Error
	if !errors.As(err, &e) {
		return "Look at MLflow's own log."
	}
	switch {
	case e.Status == http.StatusForbidden || e.Status == http.StatusUnauthorized:
		return "Give the user of MLFLOW_TRACKING_URI the permission EDIT on the experiment."
	case e.Status == http.StatusServiceUnavailable || e.NoRoute():
		return "Start MLflow with --serve-artifacts, its default, and --artifacts-destination; a proxy has to pass /api/2.0/mlflow-artifacts on too."
	case e.Status == http.StatusRequestEntityTooLarge:
		return "Let the proxy before MLflow take bodies of 4 MiB and more (client_max_body_size with nginx)."
	}
	return "Make the directory or bucket of --artifacts-destination writable for MLflow, and look at the space that is left there; MLflow's own log has the reason."
}

// localDir is the directory that an address means; false: it means none.
func localDir(location string) (string, bool) {
	if filepath.IsAbs(location) {
		return location, true
	}
	u, err := url.Parse(location)
	if err != nil || u.Scheme != "file" || u.Host != "" && u.Host != "localhost" {
		return "", false
	}
	return u.Path, true
}

// localArtifact tries a directory on this host, as experiments of the old start script have.
func localArtifact(dir, name string, content []byte, note string) Finding {
	if _, err := os.Stat(dir); err != nil {
		return Finding{
			Status: Warn, Found: fmt.Sprintf("the experiment's artifacts are in the directory %s, which is not there on this host%s", dir, note),
			Means: "The Collector lets MLflow write them, up to " + bytesize.Format(mlflow.MaxUpload) + " each. It was not tried: that takes a run, which could only be marked as deleted.",
			Fix:   "Nothing, if the directory is on MLflow's host; else use an experiment that was made while MLflow served artifacts.",
		}
	}
	own := filepath.Join(dir, name)
	path := filepath.Join(own, filepath.FromSlash(artifactFile))
	err := os.MkdirAll(filepath.Dir(path), 0o755)
	if err == nil {
		err = os.WriteFile(path, content, 0o644)
	}
	var back []byte
	if err == nil {
		back, err = os.ReadFile(path)
	}
	if err == nil && !bytes.Equal(back, content) {
		err = errors.New("what was written did not come back")
	}
	removeErr := os.RemoveAll(own)
	if err = errors.Join(err, removeErr); err != nil {
		return Finding{
			Status: Fail, Found: fmt.Sprintf("the directory %s of the experiment's artifacts does not take a file%s: %v", dir, note, err),
			Means: "If the Collector runs as this user, runs come without artifacts.", Fix: "Make the directory writable for the Collector's user, or use an experiment whose artifacts MLflow serves.",
		}
	}
	return Finding{Status: OK, Found: fmt.Sprintf("the directory %s took a file and gave it back%s", dir, note), Wrote: "a file in " + name + ", removed again"}
}
