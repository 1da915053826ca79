//go:build !(linux || darwin || freebsd || netbsd || openbsd || dragonfly)

package retrieval

func newPDFMemory(size int) (*pdfMemory, error) { return &pdfMemory{whole: make([]byte, size)}, nil }

func (m *pdfMemory) release() { m.whole = nil }
