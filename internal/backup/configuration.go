package backup

import (
	"context"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"

	"github.com/technoshare/commentator/internal/telemetry"
)

// configuration copies what a person wrote: prompts, themes and rules, the dataset of evaluations,
// settings, and what MLflow refused for good.
func (mk *maker) configuration(ctx context.Context) error {
	s := mk.cfg.Source
	// As the worker reads them: linked to a checkout, or by Kubernetes.
	t := &tree{target: filepath.Join(mk.dir, filesName), take: isData, follow: true}
	if folder := s.abs(s.DataDir); s.DataDir != "" && isThere(folder) {
		path := mk.place(folder)
		if err := t.copy(ctx, folder+string(filepath.Separator), path); err != nil {
			return fmt.Errorf("copy prompts and rules: %w", err)
		}
		mk.setting("DATA_DIR", path, "data")
	}
	t.take, t.follow = nil, false
	if letters := filepath.Join(s.abs(s.CollectorDir), deadLetters); s.CollectorDir != "" && isThere(letters) {
		path := mk.place(s.abs(s.CollectorDir))
		if err := t.copy(ctx, letters+string(filepath.Separator), path+"/"+deadLetters); err != nil {
			return fmt.Errorf("copy dead letters: %w", err)
		}
		mk.setting("OTELCOL_DATA_DIR", path, ".otelcol-mlflow")
	}
	if err := mk.single(t); err != nil {
		return fmt.Errorf("copy configuration: %w", err)
	}
	if len(t.odd) > 0 {
		mk.warn("%d things among prompts, rules and dead letters are neither files nor folders and were left out, the first is %s", len(t.odd), t.odd[0])
	}
	mk.m.Files = append(mk.m.Files, t.files...)
	return nil
}

// single copies the files of the configuration.
func (mk *maker) single(t *tree) error {
	s := mk.cfg.Source
	env := []string{".env"}
	if s.Profile != "" {
		env = append(env, ".env."+s.Profile)
	}
	for _, name := range env {
		if isThere(s.abs(name)) {
			path := mk.place(s.abs(name))
			if err := t.file(s.abs(name), path); err != nil {
				return err
			}
			mk.m.Secrets = append(mk.m.Secrets, path)
		}
	}
	for _, o := range []struct{ setting, file, standard string }{
		{"SAMPLING_FILE", s.SamplingFile, mk.jobsPath() + ".sampling.yaml"},
		{"REDACTION_FILE", s.RedactionFile, ""},
	} {
		if o.file == "" || !isThere(s.abs(o.file)) {
			continue
		}
		path := mk.place(s.abs(o.file))
		if err := t.file(s.abs(o.file), path); err != nil {
			return err
		}
		mk.setting(o.setting, path, o.standard)
		if o.file == s.SamplingFile { // what holds while it cannot be read, if that is there
			if err := t.file(telemetry.LastSamplingPath(s.abs(o.file)), path+".last"); err != nil {
				return err
			}
		}
	}
	if s.BaselineFile != "" && mk.m.Jobs != nil && isThere(s.abs(s.BaselineFile)) {
		if err := t.file(s.abs(s.BaselineFile), mk.jobsPath()+".baseline.json"); err != nil {
			return err
		}
	}
	if err := s.included(); err != nil {
		return err
	}
	for _, file := range s.Include {
		file = strings.TrimPrefix(file, MayBeAbsent)
		if !isThere(s.abs(file)) {
			continue
		}
		path := "included/" + mk.place(s.abs(file))
		if err := t.file(s.abs(file), path); err != nil {
			return err
		}
		mk.m.Secrets = append(mk.m.Secrets, path)
	}
	return nil
}

// MayBeAbsent before the name of an included file says that it need not be there.
const MayBeAbsent = "-"

// included makes sure that the files to include are there.
func (s Source) included() error {
	for _, file := range s.Include {
		if file, optional := strings.CutPrefix(file, MayBeAbsent); !optional && !isThere(s.abs(file)) {
			return fmt.Errorf("there is no file %s, which --include names", file)
		}
	}
	return nil
}

const deadLetters = "dead-letter"

// isData chooses what worker and evaluations read from DATA_DIR, which in a checkout holds sources too.
func isData(path string, d fs.DirEntry) bool {
	if strings.HasPrefix(filepath.Base(path), "..") { // of Kubernetes, which links to what is in it
		return false
	}
	extension := filepath.Ext(path)
	switch top, rest, below := strings.Cut(path, "/"); {
	case top == "prompts":
		return d.IsDir() || below
	case top == "eval" && !below:
		return d.IsDir()
	case top == "eval" && strings.HasPrefix(rest+"/", "evidence/"):
		return true
	case top == "eval": // cassettes
		return !d.IsDir() && filepath.Dir(rest) == "." && extension == ".jsonl"
	}
	return !d.IsDir() && (extension == ".yaml" || extension == ".yml" || extension == ".json")
}
