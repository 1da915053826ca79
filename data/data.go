// Package data holds what a team edits to make the commentator its own: the themes of
// its projects, the index of technologies that the search tool looks up, the prompts, and
// the rules by which the pages of a domain are read.
// The files beside this source are compiled in as defaults; each one is replaced by the
// file of the same name in DATA_DIR when that exists.
package data

import (
	"bytes"
	"context"
	"embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"

	"go.yaml.in/yaml/v3"

	"github.com/technoshare/commentator/internal/boundedfile"
	"github.com/technoshare/commentator/internal/strictyaml"
)

// The files, relative to DATA_DIR.
const (
	ProjectContextFile = "project_context.yaml"
	SimilarTechFile    = "similar_tech.yaml"
	DomainRulesFile    = "domain_rules.yaml"
	StageAPromptFile   = "prompts/stage_a_extract_facts.yaml"
	StageBPromptFile   = "prompts/stage_b_compose_reply.yaml"
)

//go:embed project_context.yaml similar_tech.yaml domain_rules.yaml prompts/*.yaml
var embedded embed.FS

// Data is everything that was loaded. It is read only once loaded, so that it may be
// shared between goroutines.
type Data struct {
	Themes []Theme
	Tech   []Tech
	Rules  Rules
	StageA Prompt
	StageB Prompt
}

// Load reads the files of dir, with the compiled-in default in place of each file that
// dir doesn't have. An empty dir, or one that doesn't exist, means the defaults alone.
// All problems are reported at once, each naming its file and key.
func Load(ctx context.Context, dir string) (*Data, error) {
	files := source{}
	if dir != "" {
		files.own, files.dir = os.DirFS(dir), dir
	}
	var d Data
	var errs [5]error
	d.Themes, errs[0] = loadThemes(ctx, files)
	d.Tech, errs[1] = loadTech(ctx, files)
	d.StageA, errs[2] = loadPrompt(ctx, files, StageAPromptFile)
	d.StageB, errs[3] = loadPrompt(ctx, files, StageBPromptFile)
	d.Rules, errs[4] = loadRules(ctx, files)
	if err := errors.Join(errs[:]...); err != nil {
		return nil, fmt.Errorf("load data: %w", err)
	}
	return &d, nil
}

// Default returns the compiled-in data. It panics if they are broken, which a test rules out.
func Default() *Data {
	d, err := Load(context.Background(), "")
	if err != nil {
		panic(err)
	}
	return d
}

// ThemeNames returns the names of the themes in the order of the file, as gates.Check wants them.
func (d *Data) ThemeNames() []string {
	names := make([]string, len(d.Themes))
	for i, t := range d.Themes {
		names[i] = t.Name
	}
	return names
}

// source reads a file from the user's folder if it is there, else from the binary.
type source struct {
	own fs.FS  // nil without a folder
	dir string // of own, for messages
}

// name is what messages call a file. Those that are compiled in have no problems.
func (s source) name(file string) string { return filepath.Join(s.dir, file) }

// read returns the file's bytes.
func (s source) read(ctx context.Context, name string) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("read %s: %w", s.name(name), err)
	}
	if s.own != nil {
		body, err := s.readOwn(name)
		if err == nil {
			return body, nil
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("read %s: %w", s.name(name), err)
		}
	}
	body, err := embedded.ReadFile(path.Clean(name))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", s.name(name), err)
	}
	return body, nil
}

// maxOwn bounds a file of DATA_DIR, in bytes.
const maxOwn = 16 << 20

func (s source) readOwn(name string) ([]byte, error) {
	f, err := s.own.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return boundedfile.ReadAll(f, maxOwn)
}

// decode fills v from exactly one YAML document; a key that v doesn't know is an error.
func decode(name string, body []byte, v any) error {
	dec := strictyaml.NewDecoder(bytes.NewReader(body))
	if err := dec.Decode(v); err != nil {
		if errors.Is(err, io.EOF) {
			return fmt.Errorf("%s: the file is empty", name)
		}
		return fmt.Errorf("%s: %w", name, strictyaml.Explain(err, v))
	}
	if err := dec.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return fmt.Errorf("%s: holds more than one YAML document", name)
	}
	return nil
}
