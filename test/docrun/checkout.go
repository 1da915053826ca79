package docrun

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
)

// Checkout copies a checkout to a folder that does not exist yet, as a clone would have it but with
// what is not committed, so that commands of a page find their files and leave none behind: what git
// knows or would be asked to add.
func Checkout(ctx context.Context, root, dir string) error {
	list := exec.CommandContext(ctx, "git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
	list.Dir = root
	names, err := list.Output()
	if err != nil {
		return fmt.Errorf("list files of %s: %w", root, err)
	}
	if err := os.Mkdir(dir, 0o755); err != nil {
		return fmt.Errorf("copy checkout: %w", err)
	}
	for name := range bytes.SplitSeq(names, []byte{0}) {
		if len(name) == 0 {
			continue
		}
		err := copyFile(filepath.Join(root, string(name)), filepath.Join(dir, string(name)))
		if err != nil && !errors.Is(err, fs.ErrNotExist) { // it was removed and git has not been told
			return fmt.Errorf("copy checkout: %w", err)
		}
	}
	return nil
}

func copyFile(from, to string) error {
	info, err := os.Stat(from)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, info.Mode().Perm())
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}
