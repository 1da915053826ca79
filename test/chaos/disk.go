//go:build linux

package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// fullAt is the size that no file may be written beyond while the disk of a program is full:
// less than a database needs for its next transaction.
const fullAt = 64 << 10

// fill lets writes of a program beyond fullAt fail with EFBIG, as they do on a full disk with
// ENOSPC, until free is called. Unlike a full disk it needs no rights and harms nobody else.
func (p *program) fill() error { return p.limit(fullAt) }
func (p *program) free() error { return p.limit(unix.RLIM_INFINITY) }

func (p *program) limit(bytes uint64) error {
	p.mu.Lock()
	cmd := p.cmd
	p.mu.Unlock()
	if cmd == nil {
		return fmt.Errorf("limit the files of %s: it does not run", p.name)
	}
	members, err := group(cmd.Process.Pid)
	if err != nil {
		return err
	}
	for _, pid := range members {
		if err := unix.Prlimit(pid, unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: bytes, Max: unix.RLIM_INFINITY}, nil); err != nil && err != unix.ESRCH {
			return fmt.Errorf("limit the files of %s: %w", p.name, err)
		}
	}
	return nil
}

// group lists the processes of a process group.
func group(leader int) ([]int, error) {
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return nil, err
	}
	var members []int
	for _, name := range stats {
		b, err := os.ReadFile(name)
		if err != nil {
			continue // ended meanwhile
		}
		// pid (name) state ppid pgrp …: fields are counted behind the name, which may hold anything.
		f := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:]))
		if len(f) > 2 && f[2] == strconv.Itoa(leader) {
			pid, err := strconv.Atoi(filepath.Base(filepath.Dir(name)))
			if err != nil {
				return nil, err
			}
			members = append(members, pid)
		}
	}
	return members, nil
}

// watchWrites rings at each write to a file of a folder for the events that of names for the
// file, until the folder is gone.
func watchWrites(b *bell, dir string, of func(name string) []event) error {
	fd, err := syscall.InotifyInit1(syscall.IN_CLOEXEC)
	if err != nil {
		return fmt.Errorf("watch %s: %w", dir, err)
	}
	if _, err := syscall.InotifyAddWatch(fd, dir, syscall.IN_MODIFY); err != nil {
		return fmt.Errorf("watch %s: %w", dir, err)
	}
	go func() {
		defer syscall.Close(fd)
		buf := make([]byte, 1<<16)
		for {
			n, err := syscall.Read(fd, buf)
			if err == syscall.EINTR {
				continue
			}
			if err != nil || n <= 0 {
				return
			}
			for rest := buf[:n]; len(rest) >= syscall.SizeofInotifyEvent; {
				e := (*syscall.InotifyEvent)(unsafe.Pointer(&rest[0])) // the kernel's own form
				if e.Mask&syscall.IN_IGNORED != 0 {
					return
				}
				end := syscall.SizeofInotifyEvent + int(e.Len)
				name := strings.TrimRight(string(rest[syscall.SizeofInotifyEvent:end]), "\x00")
				for _, one := range of(name) {
					b.ring(one, 1)
				}
				rest = rest[end:]
			}
		}
	}()
	return nil
}
