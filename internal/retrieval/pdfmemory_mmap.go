//go:build linux || darwin || freebsd || netbsd || openbsd || dragonfly

package retrieval

import (
	"fmt"
	"syscall"
)

func newPDFMemory(size int) (*pdfMemory, error) {
	whole, err := syscall.Mmap(-1, 0, size, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
	if err != nil {
		return nil, fmt.Errorf("reserve %d bytes: %w", size, err)
	}
	return &pdfMemory{whole: whole}, nil
}

func (m *pdfMemory) release() { _ = syscall.Munmap(m.whole) }
