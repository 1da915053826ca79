package main

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/technoshare/commentator/data"
	"github.com/technoshare/commentator/internal/prompts"
)

type promptsCmd struct {
	List    promptsListCmd    `cmd:"" help:"List the versions of the prompts in MLflow's registry, and which of them the files are."`
	Push    promptsPushCmd    `cmd:"" help:"Make versions of the files whose text the registry does not have; of a prompt without a file in DATA_DIR the copy that comes with the programs, which the worker uses then."`
	Pull    promptsPullCmd    `cmd:"" help:"Write the versions that an alias names into the files, which a running worker reads before its next job."`
	Diff    promptsDiffCmd    `cmd:"" help:"Show how the files differ from the versions that an alias names. Exit code 1 when they do."`
	Promote promptsPromoteCmd `cmd:"" help:"Make the candidates prod, after a PASS of the evaluation gate."`
}

// promptFiles are the flags that say which prompts a command is about.
type promptFiles struct {
	Dir   string   `placeholder:"DIR" help:"Folder of the prompts; default \"prompts\" in DATA_DIR."`
	Names []string `arg:"" optional:"" help:"Prompts, by name; default those of the folder."`
}

func (f promptFiles) folder(env environment) string {
	return cmp.Or(f.Dir, filepath.Join(env.config.DataDir, data.PromptsFolder))
}

// read reads the prompts of the folder, and returns which names are meant. A folder that is not
// there has none; the names are then those that the programs come with.
func (f promptFiles) read(env environment) (local map[string]data.Prompt, names []string, err error) {
	list, err := data.PromptFiles(env.ctx, f.folder(env))
	if errors.Is(err, os.ErrNotExist) {
		list, err = nil, nil
		names = []string{data.Default().StageA.Name, data.Default().StageB.Name}
	}
	if err != nil {
		return nil, nil, err
	}
	local = map[string]data.Prompt{}
	for _, p := range list {
		local[p.Name] = p
		names = append(names, p.Name)
	}
	if len(f.Names) > 0 {
		names = f.Names
	}
	return local, names, nil
}

// readUsed is read, with the copies that come with the programs for what DATA_DIR does not have: the worker
// uses them then. A folder that --dir names is none of a worker.
func (f promptFiles) readUsed(env environment) (local map[string]data.Prompt, names []string, builtIn map[string]bool, err error) {
	local, names, err = f.read(env)
	builtIn = map[string]bool{}
	if err != nil || f.Dir != "" {
		return local, names, builtIn, err
	}
	for _, p := range []data.Prompt{data.Default().StageA, data.Default().StageB} {
		if _, found := local[p.Name]; found {
			continue
		}
		local[p.Name], builtIn[p.Name] = p, true
		if len(f.Names) == 0 && !slices.Contains(names, p.Name) {
			names = append(names, p.Name)
		}
	}
	return local, names, builtIn, nil
}

// registered reads prompts from the registry.
func (env environment) registered(names []string) ([]prompts.Listed, error) {
	listed := make([]prompts.Listed, len(names))
	for i, name := range names {
		var err error
		if listed[i], err = prompts.Read(env.ctx, env.client, name); err != nil {
			return nil, err
		}
	}
	return listed, nil
}

func missing(name, folder string) error {
	return fmt.Errorf("there is no prompt %s in %s", name, folder)
}
