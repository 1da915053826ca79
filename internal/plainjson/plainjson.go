// Package plainjson writes JSON for people: <, > and & as they are. encoding/json escapes them for
// JSON that is put into HTML, which none of ours is.
package plainjson

import (
	"bytes"
	"encoding/json"
	"io"
	"sync"
)

// Marshal is json.Marshal without the escapes of HTML. JSON that is a part of v, as a
// json.RawMessage, keeps those that it has.
func Marshal(v any) ([]byte, error) {
	e := encoders.Get().(*encoder)
	err := e.json.Encode(v)
	text := e.text
	e.text = nil // which is the caller's
	encoders.Put(e)
	if err != nil {
		return nil, err
	}
	return text[:len(text)-len("\n")], nil
}

// Lines writes values without the escapes of HTML, one a line: people copy addresses from terminals.
func Lines(w io.Writer) *json.Encoder {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	return e
}

// Indented is Lines with each value over several lines.
func Indented(w io.Writer) *json.Encoder {
	e := Lines(w)
	e.SetIndent("", "  ")
	return e
}

// encoder takes what its json.Encoder writes into new memory: one copy, as in json.Marshal.
type encoder struct {
	json *json.Encoder
	text []byte
}

func (e *encoder) Write(p []byte) (int, error) {
	e.text = append(e.text, p...)
	return len(p), nil
}

// encoders are those that are not in use: a new one for each value would be two allocations more than
// json.Marshal makes.
var encoders = sync.Pool{New: func() any {
	e := &encoder{}
	e.json = Lines(e)
	return e
}}

var escape = []byte(`\u00`)

// Append appends JSON, or a string of it, without the escapes of HTML. It is the same JSON.
func Append(dst, src []byte) []byte {
	if !bytes.Contains(src, escape) {
		return append(dst, src...)
	}
	for {
		i := bytes.IndexByte(src, '\\')
		if i < 0 || i+6 > len(src) {
			return append(dst, src...)
		}
		dst = append(dst, src[:i]...)
		n := 6
		switch string(src[i : i+6]) {
		case `\u003c`:
			dst = append(dst, '<')
		case `\u003e`:
			dst = append(dst, '>')
		case `\u0026`:
			dst = append(dst, '&')
		default: // the backslash and what it escapes, which may be a backslash
			n = 2
			dst = append(dst, src[i:i+2]...)
		}
		src = src[i+n:]
	}
}
