package data

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/gofrs/flock"
	"go.yaml.in/yaml/v3"

	"github.com/technoshare/commentator/internal/wholefile"
)

// PromptsFolder is the folder of the prompts, relative to DATA_DIR.
const PromptsFolder = "prompts"

// promptsLock, in that folder, is held alone by who changes prompts and together by who reads
// them, so that nobody reads the new one of stage A beside the old one of stage B. Who edits a
// file by hand does not need it.
const promptsLock = ".lock"

// ErrPromptsBusy says that the prompts are being changed at this moment.
var ErrPromptsBusy = errors.New("the prompts are being changed")

// Prompts are the prompts of the two stages.
type Prompts struct{ StageA, StageB Prompt }

// PromptsStamp changes when a file of the prompts does.
type PromptsStamp [2]fileStamp

type fileStamp struct {
	there bool
	size  int64
	time  int64 // of its last change, ns since 1970
}

// StampPrompts looks at the files of the prompts without reading them. It takes microseconds.
func StampPrompts(dir string) (stamp PromptsStamp) {
	if dir == "" {
		return stamp
	}
	for i, name := range []string{StageAPromptFile, StageBPromptFile} {
		if info, err := os.Stat(filepath.Join(dir, name)); err == nil {
			stamp[i] = fileStamp{true, info.Size(), info.ModTime().UnixNano()}
		}
	}
	return stamp
}

// LoadPrompts reads the prompts as Load does, and nothing else.
func LoadPrompts(ctx context.Context, dir string) (p Prompts, err error) {
	files := source{}
	if dir != "" {
		files.own, files.dir = os.DirFS(dir), dir
		unlock, err := lockPrompts(filepath.Join(dir, PromptsFolder), false)
		if err != nil {
			return p, err
		}
		defer unlock()
	}
	var errs [2]error
	p.StageA, errs[0] = loadPrompt(ctx, files, StageAPromptFile)
	p.StageB, errs[1] = loadPrompt(ctx, files, StageBPromptFile)
	if err := errors.Join(errs[:]...); err != nil {
		return Prompts{}, fmt.Errorf("load prompts: %w", err)
	}
	return p, nil
}

// lockPrompts holds the prompts of a folder until unlock is called. Who reads needs no lock where
// nobody ever wrote.
func lockPrompts(folder string, alone bool) (unlock func(), err error) {
	path := filepath.Join(folder, promptsLock)
	var free bool
	var lock *flock.Flock
	if alone {
		lock = flock.New(path, flock.SetPermissions(0o644))
		free, err = lock.TryLock()
	} else {
		if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
			return func() {}, nil
		}
		lock = flock.New(path, flock.SetFlag(os.O_RDONLY))
		free, err = lock.TryRLock()
	}
	if err != nil {
		return nil, fmt.Errorf("lock prompts: %w", err)
	}
	if !free {
		return nil, ErrPromptsBusy
	}
	return func() { _ = lock.Close() }, nil
}

// PromptFiles reads every prompt of a folder, sorted by name. The name of each is that of its file
// without .yaml.
func PromptFiles(ctx context.Context, folder string) ([]Prompt, error) {
	unlock, err := lockPrompts(folder, false)
	if err != nil {
		return nil, err
	}
	defer unlock()
	entries, err := os.ReadDir(folder)
	if err != nil {
		return nil, fmt.Errorf("read prompts: %w", err)
	}
	files := source{own: os.DirFS(folder)}
	var prompts []Prompt
	var errs []error
	for _, e := range entries {
		name, ok := strings.CutSuffix(e.Name(), ".yaml")
		if !ok || e.IsDir() {
			continue
		}
		p, err := loadPrompt(ctx, files, e.Name())
		if err == nil && p.Name != name {
			err = fmt.Errorf("%s: name: %q is not the name of the file", e.Name(), p.Name)
		}
		errs = append(errs, err)
		prompts = append(prompts, p)
	}
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("read prompts in %s: %w", folder, err)
	}
	slices.SortFunc(prompts, func(a, b Prompt) int { return cmp.Compare(a.Name, b.Name) })
	return prompts, nil
}

// WritePrompts writes prompts into the files of their names, each whole or not at all, while
// whoever reads prompts waits for all of them.
func WritePrompts(folder string, prompts ...Prompt) (err error) {
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return fmt.Errorf("write prompts: %w", err)
	}
	unlock, err := lockPrompts(folder, true)
	if err != nil {
		return fmt.Errorf("write prompts: %w", err)
	}
	defer unlock()
	var written []*wholefile.File
	defer func() {
		for _, f := range written {
			f.Discard()
		}
	}()
	for _, p := range prompts {
		text, err := p.YAML()
		if err != nil {
			return fmt.Errorf("write prompt %s: %w", p.Name, err)
		}
		f, err := wholefile.Beside(filepath.Join(folder, p.Name+".yaml"), text, 0o644)
		if err != nil {
			return fmt.Errorf("write prompt %s: %w", p.Name, err)
		}
		written = append(written, f)
	}
	for i, p := range prompts {
		if err := written[i].Replace(); err != nil {
			return fmt.Errorf("write prompt %s: %w", p.Name, err)
		}
	}
	return nil
}

// YAML is the content of the prompt's file. Reading it gives the same prompt, to the byte. Its text
// is a block of lines, unless YAML has no block for it.
func (p Prompt) YAML() ([]byte, error) {
	for _, style := range []yaml.Style{yaml.LiteralStyle, yaml.DoubleQuotedStyle} {
		file := struct {
			Name        string    `yaml:"name"`
			Description string    `yaml:"description"`
			Content     yaml.Node `yaml:"content"`
		}{p.Name, p.Description, yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: p.Content, Style: style}}
		var b bytes.Buffer
		enc := yaml.NewEncoder(&b)
		enc.SetIndent(2)
		if err := errors.Join(enc.Encode(file), enc.Close()); err != nil {
			return nil, fmt.Errorf("encode prompt: %w", err)
		}
		var again Prompt
		if err := decode(p.Name, b.Bytes(), &again); err == nil && again == p {
			return b.Bytes(), nil
		}
	}
	return nil, fmt.Errorf("encode prompt %s: its text cannot be written as YAML without a change", p.Name)
}
