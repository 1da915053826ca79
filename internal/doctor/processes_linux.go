package doctor

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// process is one of this host.
type process struct {
	pid, parent int
	args        []string
}

// findServer reads what the processes that listen on a port, and their ancestors, say of
// MLflow. Those of other users do not show.
func findServer(port string) *localServer {
	var commands [][]string
	for _, first := range listening(port) {
		for proc, depth := first, 0; depth < 4; depth++ { // worker, supervisor, mlflow, shell
			commands = append(commands, proc.args)
			parent, err := readProcess(proc.parent)
			if err != nil || proc.parent <= 1 {
				break
			}
			proc = parent
		}
	}
	return readServer(commands)
}

// holder names the program that listens on a port; empty: it does not show.
func holder(port string) string {
	for _, p := range listening(port) {
		if len(p.args) > 0 {
			return fmt.Sprintf("%s, process %d", filepath.Base(p.args[0]), p.pid)
		}
	}
	return ""
}

// listening are the processes that have a socket which listens on a port, the oldest first.
func listening(port string) []process {
	sockets := map[string]bool{}
	for _, table := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		for _, inode := range inodes(table, port) {
			sockets["socket:["+inode+"]"] = true
		}
	}
	if len(sockets) == 0 {
		return nil
	}
	var found []process
	dirs, _ := filepath.Glob("/proc/[0-9]*") // the pattern is right
	for _, dir := range dirs {
		fds, err := os.ReadDir(filepath.Join(dir, "fd"))
		if err != nil {
			continue // another user's, or ended
		}
		has := slices.ContainsFunc(fds, func(fd os.DirEntry) bool {
			target, err := os.Readlink(filepath.Join(dir, "fd", fd.Name()))
			return err == nil && sockets[target]
		})
		pid, _ := strconv.Atoi(filepath.Base(dir)) // digits
		if !has {
			continue
		}
		if p, err := readProcess(pid); err == nil {
			found = append(found, p)
		}
	}
	slices.SortFunc(found, func(a, b process) int { return a.pid - b.pid })
	return found
}

// inodes lists the sockets of a table of the kernel that listen on a port.
func inodes(table, port string) (found []string) {
	n, err := strconv.Atoi(port)
	text, readErr := os.ReadFile(table)
	if err != nil || readErr != nil {
		return nil
	}
	lines := bufio.NewScanner(bytes.NewReader(text))
	for lines.Scan() {
		// sl local_address rem_address st … inode is the tenth; 0A is LISTEN
		f := strings.Fields(lines.Text())
		if len(f) > 9 && f[3] == "0A" && strings.HasSuffix(f[1], fmt.Sprintf(":%04X", n)) {
			found = append(found, f[9])
		}
	}
	return found
}

func readProcess(pid int) (process, error) {
	dir := filepath.Join("/proc", strconv.Itoa(pid))
	stat, err := os.ReadFile(filepath.Join(dir, "stat"))
	if err != nil {
		return process{}, err
	}
	line, err := os.ReadFile(filepath.Join(dir, "cmdline"))
	if err != nil {
		return process{}, err
	}
	p := process{pid: pid, args: strings.Split(strings.TrimRight(string(line), "\x00"), "\x00")}
	// pid (name) state ppid …: fields are counted behind the name, which may hold anything.
	if f := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:])); len(f) > 1 {
		p.parent, _ = strconv.Atoi(f[1]) // digits
	}
	return p, nil
}
