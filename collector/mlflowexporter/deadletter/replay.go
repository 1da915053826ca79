package deadletter

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"go.opentelemetry.io/collector/pdata/ptrace"
)

// sending is added to the name of a letter while it is being sent: the bridge may refuse
// it again and write it anew before it is removed.
const sending = ".sending"

// Result says what became of one letter.
type Result struct {
	File   string // name in the directory
	Letter Letter // without OTLP; zero when it cannot be read
	Err    error  // why it stays; nil when it was taken and removed
}

// Count is how many letters are in a directory; none when it does not exist.
func Count(dir string) (int, error) {
	letters, err := names(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	return len(letters), err
}

// names lists the letters of a directory in order.
func names(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("read dead letters: %w", err)
	}
	var names []string
	for _, e := range entries {
		// One that a replay left half way comes without its mark.
		if name := strings.TrimSuffix(e.Name(), sending); !e.IsDir() && strings.HasSuffix(name, extension) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}

// Replay sends the letters of a directory, oldest name first, and removes those that were
// taken. A letter that stays does not hold up the others. Of each told hears at once; one letter at
// a time is in memory.
func Replay(ctx context.Context, dir string, send func(context.Context, ptrace.Traces) error, told func(Result)) error {
	letters, err := names(dir)
	if err != nil {
		return err
	}
	for _, name := range letters {
		letter, err := replay(ctx, filepath.Join(dir, name), send)
		letter.OTLP = nil
		told(Result{File: name, Letter: letter, Err: err})
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	return nil
}

func replay(ctx context.Context, path string, send func(context.Context, ptrace.Traces) error) (Letter, error) {
	letter, err := take(path)
	if err != nil {
		return letter, err
	}
	spans, err := letter.Spans()
	if err == nil {
		err = send(ctx, spans)
	}
	if err != nil {
		return letter, errors.Join(err, os.Rename(path+sending, path))
	}
	if err := os.Remove(path + sending); err != nil {
		return letter, fmt.Errorf("remove dead letter that was taken: %w", err)
	}
	return letter, nil
}

// take reads a letter and moves it out of the bridge's way. If there is one that an
// interrupted replay moved, and the bridge wrote the same again, they hold the same spans.
func take(path string) (Letter, error) {
	letter, err := read(path)
	if errors.Is(err, fs.ErrNotExist) {
		return read(path + sending)
	}
	if err != nil {
		return letter, err
	}
	if err := os.Rename(path, path+sending); err != nil {
		return letter, fmt.Errorf("move dead letter: %w", err)
	}
	return letter, nil
}
