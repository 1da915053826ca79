// Package demo reads the cast of the demo: the documents that it serves on loopback, the
// links and Slack events that it feeds to the worker, and what each must become.
//
// manifest.yaml lists documents and inputs, expected.yaml the jobs of each input in the
// order of its links. Event files hold {{base}} where the address of the server belongs.
package demo

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"strings"

	"go.yaml.in/yaml/v3"
)

// The files, relative to the demo's folder.
const (
	ManifestFile = "manifest.yaml"
	ExpectedFile = "expected.yaml"
)

// Base is the placeholder in event files for the server's address, "http://host:port".
const Base = "{{base}}"

// Document is an answer of the demo's server. Every path that is not listed is 404.
type Document struct {
	Path        string `yaml:"path"`         // of the request, "/articles/x.html"
	File        string `yaml:"file"`         // relative to the demo's folder
	ContentType string `yaml:"content_type"` // header, sent as it is
	Status      int    `yaml:"status"`       // 200 unless given

	body []byte
}

// Input is what the worker is given: a link or a Slack event. Exactly one of Path and
// Event is set.
type Input struct {
	Name  string `yaml:"name"`
	Path  string `yaml:"path"`  // of a link to the demo's server
	Event string `yaml:"event"` // file of a Slack event envelope
	Model bool   `yaml:"model"` // analysed by the recorded model, not offline

	Jobs []Expectation `yaml:"-"` // from expected.yaml, one for each job in order

	event []byte
}

// Expectation is what MLflow must hold of a job.
type Expectation struct {
	Outcome   string   `yaml:"outcome"`    // of the job
	ErrorType string   `yaml:"error_type"` // code, only with outcome error
	Stages    []string `yaml:"stages"`     // nested runs; the job's own run is one more
	Artifacts []string `yaml:"artifacts"`  // files of all runs
	Trace     bool     `yaml:"trace"`      // there is an MLflow trace in full detail
}

// Runs is the number of MLflow runs of the job.
func (e Expectation) Runs() int { return 1 + len(e.Stages) }

// Demo is the whole cast.
type Demo struct {
	Documents []Document `yaml:"documents"`
	Inputs    []Input    `yaml:"inputs"`
}

// Load reads the folder of the demo with all its files. It reports every problem at once.
func Load(dir string) (*Demo, error) {
	root := os.DirFS(dir)
	var d Demo
	var table struct {
		Kinds map[string]Expectation `yaml:"kinds"`
		Jobs  map[string][]string    `yaml:"jobs"` // input → kinds
	}
	errs := []error{decode(root, ManifestFile, &d), decode(root, ExpectedFile, &table)}
	problem := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	read := func(name string) []byte {
		text, err := fs.ReadFile(root, name)
		if err != nil {
			errs = append(errs, err)
		}
		return text
	}
	for i := range d.Documents {
		doc := &d.Documents[i]
		if doc.Status == 0 {
			doc.Status = http.StatusOK
		}
		if !strings.HasPrefix(doc.Path, "/") || doc.ContentType == "" {
			problem("%s: document %q: want a path from / and a content_type", ManifestFile, doc.Path)
		}
		doc.body = read(doc.File)
	}
	for i := range d.Inputs {
		in := &d.Inputs[i]
		if in.Name == "" || (in.Path == "") == (in.Event == "") {
			problem("%s: input %q: want a name and either path or event", ManifestFile, in.Name)
		}
		if in.Event != "" {
			in.event = read(in.Event)
		}
		if len(table.Jobs[in.Name]) == 0 {
			problem("%s: no jobs for input %q", ExpectedFile, in.Name)
		}
		for _, kind := range table.Jobs[in.Name] {
			want, ok := table.Kinds[kind]
			if !ok {
				problem("%s: jobs of %q: kind %q is not defined", ExpectedFile, in.Name, kind)
			}
			in.Jobs = append(in.Jobs, want)
		}
		delete(table.Jobs, in.Name)
	}
	for name := range table.Jobs {
		problem("%s: input %q is not in %s", ExpectedFile, name, ManifestFile)
	}
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("load demo: %w", err)
	}
	return &d, nil
}

func decode(root fs.FS, name string, v any) error {
	text, err := fs.ReadFile(root, name)
	if err != nil {
		return err
	}
	dec := yaml.NewDecoder(bytes.NewReader(text))
	dec.KnownFields(true)
	if err := dec.Decode(v); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// Handler serves the documents.
func (d *Demo) Handler() http.Handler {
	mux := http.NewServeMux()
	for _, doc := range d.Documents {
		mux.HandleFunc("GET "+doc.Path, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", doc.ContentType)
			w.WriteHeader(doc.Status)
			_, _ = w.Write(doc.body) // the reader went away
		})
	}
	return mux
}

// FillEvent returns the Slack event of an input with the server's address in it.
func (in Input) FillEvent(base string) []byte {
	return bytes.ReplaceAll(in.event, []byte(Base), []byte(base))
}
