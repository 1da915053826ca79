package apply

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"
	"unicode/utf8"

	"go.uber.org/zap"

	"github.com/technoshare/commentator/collector/mlflowexporter/internal/reduce"
	"github.com/technoshare/commentator/internal/mlflow"
	"github.com/technoshare/commentator/internal/wire"
)

const (
	// askAgain is how long a text that the registry does not have is not asked for again, and
	// lookAgain how long what it has is believed: versions are deleted, and numbers given anew to
	// a prompt that is made again.
	askAgain  = time.Minute
	lookAgain = 10 * time.Minute
	// maxPages bounds the pages of versions that are read of one prompt, 100 versions each.
	maxPages = 100
	// maxPrompts bounds the prompts that are remembered, should names be made up one by one.
	maxPrompts = 1000
)

// maxLinked is how many characters name/version may have for a trace to be linked to it: those of
// entity_associations.destination_id. SQLite does not look.
const maxLinked = 36

// prompts remembers what the registry holds.
type prompts struct {
	mu      sync.Mutex
	byName  map[string]registered
	refused bool // it was said that the registry gives no answer
	down    bool // it was given up to ask; no job waits for it until it answers
	long    bool // it was said that names are too long to be linked
}

// registered are the versions of one prompt.
type registered struct {
	asked  time.Time
	byHash map[string]string // text's SHA-256 in hex to version
}

// versions finds the versions whose text has the hashes that were used. What the registry does
// not hold is left out; a registry that refuses to be asked holds nothing.
func (a *Applier) versions(ctx context.Context, used []reduce.Prompt) (found []mlflow.PromptVersion, err error) {
	if len(used) == 0 {
		return nil, nil
	}
	a.prompts.mu.Lock()
	defer a.prompts.mu.Unlock()
	for _, p := range used {
		known := a.prompts.byName[p.Name]
		version, ok := known.byHash[p.SHA256]
		age := a.cfg.Now().Sub(known.asked)
		if known.asked.IsZero() || age >= lookAgain || (!ok && age >= askAgain) {
			now, err := a.ask(ctx, p.Name)
			if err != nil && !ok {
				return nil, fmt.Errorf("look for prompt %s: %w", p.Name, err)
			}
			if err == nil {
				version, ok = now.byHash[p.SHA256]
			}
		}
		if ok {
			found = append(found, mlflow.PromptVersion{Name: p.Name, Version: version})
		}
	}
	return found, nil
}

// ask reads the versions of a prompt. Of several with one text the first one counts, so that a
// job is linked to the same version whenever it is asked for. When the registry refuses, what it
// said before counts.
func (a *Applier) ask(ctx context.Context, name string) (registered, error) {
	known := registered{asked: a.cfg.Now(), byHash: map[string]string{}}
	token := ""
	for range maxPages {
		var versions []mlflow.ModelVersion
		var next string
		err := a.failed.result(opPrompt, name, a.call(ctx, func() (err error) {
			versions, next, err = a.client.PromptVersions(ctx, name, token)
			return err
		}))
		var givenUp finalError
		a.prompts.down = errors.As(err, &givenUp) || (a.prompts.down && err != nil)
		if err != nil && !permanent(err) && (!a.prompts.down || !answersFailure(err)) {
			return registered{}, err
		}
		if err != nil {
			if !a.prompts.refused {
				a.prompts.refused = true
				a.log.Warn("MLflow's registry cannot be asked for prompts: runs and traces are not linked to them", zap.Error(err))
			}
			known.byHash = a.prompts.byName[name].byHash
			break
		}
		a.prompts.refused = false
		for _, v := range versions {
			hash := v.TextSHA256()
			if old, ok := known.byHash[hash]; !ok || mlflow.VersionNumber(v.Version) < mlflow.VersionNumber(old) {
				known.byHash[hash] = v.Version
			}
		}
		if token = next; token == "" {
			break
		}
	}
	if before := a.prompts.byName[name]; before.renumbered(known) {
		a.listings.forget(name)
	}
	a.prompts.keep(name, known)
	return known, nil
}

// renumbered reports whether a version is not what it was: the prompt was made again.
func (r registered) renumbered(now registered) bool {
	for hash, version := range r.byHash {
		if now.byHash[hash] != version {
			return true
		}
	}
	return false
}

// keep remembers the versions of a prompt. When there are too many, all are asked for again.
func (p *prompts) keep(name string, known registered) {
	if _, there := p.byName[name]; p.byName == nil || (!there && len(p.byName) >= maxPrompts) {
		p.byName = map[string]registered{}
	}
	p.byName[name] = known
}

// linkRun adds the prompts that a run used to its tags, unless the run has them.
func (a *Applier) linkRun(ctx context.Context, r *run) error {
	if r.rec.Done && r.rec.Version == r.Version {
		return nil
	}
	found, err := a.versions(ctx, r.Prompts)
	if err != nil || len(found) == 0 {
		return err
	}
	r.used = found
	r.Tags = append(r.Tags[:len(r.Tags):len(r.Tags)], reduce.KeyValue{Key: wire.TagPrompts, Value: promptsJSON(found)})
	return nil
}

// linkTrace makes a trace findable by the prompts that it names.
func (a *Applier) linkTrace(ctx context.Context, t *trace) error {
	if len(t.rec.Prompts) == 0 {
		return nil
	}
	link := func(used []mlflow.PromptVersion) error {
		return a.failed.result("link", t.TraceID, a.call(ctx, func() error { return a.client.LinkPrompts(ctx, "tr-"+t.TraceID, used...) }))
	}
	err := link(t.rec.Prompts)
	if short := linkable(t.rec.Prompts); permanent(err) && len(short) < len(t.rec.Prompts) {
		a.tooLong(err)
		if err = nil; len(short) > 0 {
			err = link(short)
		}
	}
	if err != nil && !permanent(err) {
		return fmt.Errorf("link prompts: %w", err)
	}
	t.rec.Prompts = nil
	var e *mlflow.Error
	if errors.As(err, &e) && e.NoRoute() {
		return nil // MLflow before 3.7 has the tag alone
	}
	return err
}

// linkable leaves out what some databases cannot link.
func linkable(used []mlflow.PromptVersion) []mlflow.PromptVersion {
	return slices.DeleteFunc(slices.Clone(used), func(v mlflow.PromptVersion) bool {
		return utf8.RuneCountInString(v.Name+"/"+v.Version) > maxLinked
	})
}

// tooLong says once that traces are not found by prompts with long names.
func (a *Applier) tooLong(err error) {
	a.prompts.mu.Lock()
	defer a.prompts.mu.Unlock()
	if !a.prompts.long {
		a.prompts.long = true
		a.log.Warn("MLflow's database links no trace to a prompt whose name and version have more than 36 characters: tags name it, a search by prompt does not find it", zap.Error(err))
	}
}

// forgetPrompts makes versions and listUsed ask again.
func (a *Applier) forgetPrompts() {
	a.listings.forgetAll()
	a.prompts.mu.Lock()
	defer a.prompts.mu.Unlock()
	a.prompts.byName = nil
}

func promptsJSON(versions []mlflow.PromptVersion) string {
	text, _ := json.Marshal(versions) // texts: cannot fail
	return string(text)
}
