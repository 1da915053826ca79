package prompts

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"unicode/utf8"

	"github.com/technoshare/commentator/data"
	"github.com/technoshare/commentator/internal/mlflow"
)

// Prod is the alias that needs the verdict of an evaluation; the tools' others stand in their flags.
const Prod = "prod"

// Tags of a version.
const (
	// TagSHA256 is the SHA-256 of the text in hex, as jobs record it.
	TagSHA256 = "sha256"
	// TagRevision is the git revision whose file it was, with -dirty when the file differed.
	TagRevision = "git.revision"
	// TagDescription is what the file said of it.
	TagDescription = "description"
	// TagEvaluation is the evaluation that it became prod with.
	TagEvaluation = "promoted.evaluation"
	// TagForced says that it became prod without one.
	TagForced = "promoted.forced"
)

// Registry is the prompts' part of MLflow.
type Registry interface {
	GetPrompt(ctx context.Context, name string) (mlflow.Prompt, error)
	PromptVersions(ctx context.Context, name, pageToken string) ([]mlflow.ModelVersion, string, error)
	CreatePromptVersion(ctx context.Context, v mlflow.NewPromptVersion) (mlflow.PromptVersion, error)
	DescribePrompt(ctx context.Context, name, description string) error
	ListPrompt(ctx context.Context, name, experimentID string) error
	TagPromptVersion(ctx context.Context, v mlflow.PromptVersion, tag mlflow.KeyValue) error
	SetPromptAlias(ctx context.Context, v mlflow.PromptVersion, alias string) error
}

var _ Registry = (*mlflow.Client)(nil)

// Version is a version of a prompt in the registry.
type Version struct {
	Name        string   `json:"name"`
	Version     string   `json:"version"`
	SHA256      string   `json:"sha256"` // of Text, computed
	Aliases     []string `json:"aliases"`
	Revision    string   `json:"git_revision,omitempty"`
	Description string   `json:"description,omitempty"`
	Message     string   `json:"message,omitempty"`
	Created     int64    `json:"created_ms"`
	Evaluation  string   `json:"promoted_evaluation,omitempty"`
	Forced      string   `json:"promoted_forced,omitempty"`
	Text        string   `json:"-"`
}

// Prompt is the version as a file has it.
func (v Version) Prompt() data.Prompt {
	return data.Prompt{Name: v.Name, Description: v.Description, Content: v.Text}
}

func (v Version) id() mlflow.PromptVersion {
	return mlflow.PromptVersion{Name: v.Name, Version: v.Version}
}

// Listed is a prompt in the registry.
type Listed struct {
	mlflow.Prompt
	Versions []Version // the oldest first
}

// At returns the version that an alias or a number names.
func (l Listed) At(which string) (Version, bool) {
	number := l.Version(which)
	if number == "" {
		number = which
	}
	i := slices.IndexFunc(l.Versions, func(v Version) bool { return v.Version == number })
	if i < 0 {
		return Version{}, false
	}
	return l.Versions[i], true
}

// WithText returns the oldest version of a hash: the one that jobs are linked to.
func (l Listed) WithText(sha256 string) (Version, bool) {
	i := slices.IndexFunc(l.Versions, func(v Version) bool { return v.SHA256 == sha256 })
	if i < 0 {
		return Version{}, false
	}
	return l.Versions[i], true
}

// Read reads a prompt with all its versions; one that is not there has none.
func Read(ctx context.Context, r Registry, name string) (Listed, error) {
	p, err := r.GetPrompt(ctx, name)
	if mlflow.IsCode(err, mlflow.CodeNotFound) {
		return Listed{Prompt: mlflow.Prompt{Name: name}}, nil
	}
	if err != nil {
		return Listed{}, fmt.Errorf("read prompt %s: %w", name, err)
	}
	l := Listed{Prompt: p}
	for token := ""; ; {
		var page []mlflow.ModelVersion
		if page, token, err = r.PromptVersions(ctx, name, token); err != nil {
			return Listed{}, fmt.Errorf("read versions of prompt %s: %w", name, err)
		}
		for _, v := range page {
			l.Versions = append(l.Versions, version(p, v))
		}
		if token == "" {
			break
		}
	}
	slices.SortFunc(l.Versions, func(a, b Version) int { return mlflow.VersionNumber(a.Version) - mlflow.VersionNumber(b.Version) })
	return l, nil
}

func version(p mlflow.Prompt, v mlflow.ModelVersion) Version {
	out := Version{
		Name: p.Name, Version: v.Version, SHA256: v.TextSHA256(), Revision: v.Tag(TagRevision), Description: v.Tag(TagDescription),
		Message: v.Description, Created: v.Created, Evaluation: v.Tag(TagEvaluation), Forced: v.Tag(TagForced), Text: v.Tag(mlflow.TagPromptText), Aliases: []string{},
	}
	for _, a := range p.Aliases {
		if a.Version == v.Version {
			out.Aliases = append(out.Aliases, a.Alias)
		}
	}
	slices.Sort(out.Aliases)
	return out
}

// Push says how files become versions.
type Push struct {
	// Alias names the pushed versions from then on; empty: none does.
	Alias string
	// Revision is the git revision of a prompt's file; empty: it is not known.
	Revision func(name string) string
	Message  string
	// ExperimentID is the experiment whose page shall list the prompts; empty: none.
	ExperimentID string
}

// Pushed is what became of a file.
type Pushed struct {
	Version
	New   bool `json:"new"`   // else the registry had the text
	Moved bool `json:"moved"` // the alias did not name it before
}

// Do brings a prompt into the registry. A text that the registry has stays the version that it
// is, so that pushing twice changes nothing.
func (c Push) Do(ctx context.Context, r Registry, p data.Prompt) (Pushed, error) {
	if n := utf8.RuneCountInString(p.Content); n > mlflow.MaxPromptText {
		return Pushed{}, fmt.Errorf("push prompt %s: its text has %d characters, MLflow takes %d", p.Name, n, mlflow.MaxPromptText)
	}
	l, err := Read(ctx, r, p.Name)
	if err != nil {
		return Pushed{}, err
	}
	v, known := l.WithText(p.SHA256())
	if !known {
		if v, err = c.create(ctx, r, p); err != nil {
			return Pushed{}, err
		}
	}
	if l.Description != p.Description {
		if err := r.DescribePrompt(ctx, p.Name, p.Description); err != nil {
			return Pushed{}, fmt.Errorf("describe prompt %s: %w", p.Name, err)
		}
	}
	if c.ExperimentID != "" {
		if err := r.ListPrompt(ctx, p.Name, c.ExperimentID); err != nil {
			return Pushed{}, fmt.Errorf("show prompt %s with its experiment: %w", p.Name, err)
		}
	}
	out := Pushed{Version: v, New: !known}
	if c.Alias == "" || slices.Contains(v.Aliases, c.Alias) {
		return out, nil
	}
	if err := r.SetPromptAlias(ctx, v.id(), c.Alias); err != nil {
		return out, fmt.Errorf("make prompt %s version %s %s: %w", p.Name, v.Version, c.Alias, err)
	}
	out.Moved = true
	out.Aliases = append(slices.Clone(v.Aliases), c.Alias)
	return out, nil
}

func (c Push) create(ctx context.Context, r Registry, p data.Prompt) (Version, error) {
	tags := []mlflow.KeyValue{{Key: TagSHA256, Value: p.SHA256()}, {Key: TagDescription, Value: p.Description}}
	revision := ""
	if c.Revision != nil {
		revision = c.Revision(p.Name)
	}
	if revision != "" {
		tags = append(tags, mlflow.KeyValue{Key: TagRevision, Value: revision})
	}
	made, err := r.CreatePromptVersion(ctx, mlflow.NewPromptVersion{Name: p.Name, Text: p.Content, Message: c.Message, Tags: tags})
	if err != nil {
		return Version{}, fmt.Errorf("register prompt %s: %w", p.Name, err)
	}
	return Version{
		Name: p.Name, Version: made.Version, SHA256: p.SHA256(), Revision: revision, Description: p.Description, Message: c.Message, Text: p.Content, Aliases: []string{},
	}, nil
}

// ErrUnpushed says that pulling would lose a text.
var ErrUnpushed = errors.New("the registry does not have the text of the file")

// Pull decides what the file of a prompt becomes: the version that alias names. It refuses to
// replace a text that no version has, unless force is set. Changed is false when the file has
// the text already.
func Pull(l Listed, local *data.Prompt, alias string, force bool) (p data.Prompt, v Version, changed bool, err error) {
	v, ok := l.At(alias)
	if !ok {
		return p, v, false, fmt.Errorf("prompt %s has no version %q: `mlflowctl prompts list` shows what there is", l.Name, alias)
	}
	p = v.Prompt()
	if p.Description == "" {
		p.Description = l.Description
	}
	if local == nil {
		if p.Description == "" {
			p.Description = p.Name // a file has to have one
		}
		return p, v, true, nil
	}
	if p.Description == "" {
		p.Description = local.Description
	}
	if local.SHA256() == v.SHA256 {
		return *local, v, false, nil
	}
	if _, pushed := l.WithText(local.SHA256()); !pushed && !force {
		return p, v, false, fmt.Errorf("pull prompt %s: %w: push it first, or use --force", l.Name, ErrUnpushed)
	}
	return p, v, true, nil
}
