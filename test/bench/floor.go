//go:build linux

package main

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"syscall"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
)

// floor writes jobs with as little work as a client can have: the requests that the bridge
// made for one job, ready to be sent but for the ids of the runs, over two connections that
// acknowledge at once. Of the answers it looks at the status and, where a run was made, for
// its id. The order is the freest that the data allow: the job's run first; then the stages
// beside each other, and the spans with the trace's info; then the end of the job's run.
type floor struct {
	host    string
	conns   []*conn
	chains  [][]recorded // of these the first makes the job's run
	last    []recorded
	traceID pcommon.TraceID // in the recording
	runs    []string        // in the recording, the job's first
}

type conn struct {
	net.Conn
	raw syscall.RawConn
	in  *bufio.Reader
}

func (c *conn) Read(b []byte) (int, error) {
	err := c.raw.Control(func(fd uintptr) {
		_ = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, syscall.TCP_QUICKACK, 1)
	})
	if err != nil {
		return 0, err
	}
	return c.Conn.Read(b)
}

func newFloor(target string, job []recorded, id pcommon.TraceID) (*floor, error) {
	f := &floor{traceID: id}
	if err := f.arrange(job); err != nil {
		return nil, err
	}
	u, err := url.Parse(target)
	if err != nil {
		return nil, err
	}
	f.host = u.Host
	return f, nil
}

// dial makes the first connection anew: MLflow closes what was idle for 5 s.
func (f *floor) dial() error {
	f.close()
	f.conns = nil
	first, err := f.connect()
	if err == nil {
		f.conns = []*conn{first}
	}
	return err
}

// spread sends the spans of a job and makes the other connection meanwhile, so that another
// worker of MLflow is likely to take it; internal/mlflow has the figures.
func (f *floor) spread(requests [][]byte, ids []string) error {
	first := f.conns[0]
	last := len(requests) - 1
	for _, request := range requests[:last] {
		if err := first.exchange(fill(request, ids), nil); err != nil {
			return err
		}
	}
	sent := make(chan error, 1)
	go func() { sent <- first.exchange(fill(requests[last], ids), nil) }()
	time.Sleep(3 * time.Millisecond)
	second, err := f.connect()
	if err == nil {
		f.conns = append(f.conns, second)
	}
	return errors.Join(err, <-sent)
}

func (f *floor) connect() (*conn, error) {
	tcp, err := net.Dial("tcp", f.host)
	if err != nil {
		return nil, err
	}
	raw, err := tcp.(*net.TCPConn).SyscallConn()
	if err != nil {
		return nil, err
	}
	c := &conn{Conn: tcp, raw: raw}
	c.in = bufio.NewReader(c)
	return c, nil
}

func (f *floor) close() {
	for _, c := range f.conns {
		_ = c.Close()
	}
}

// arrange sorts the requests of a job into chains, one for each run and one for the spans.
func (f *floor) arrange(job []recorded) error {
	chains := map[string][]recorded{}
	for _, r := range job {
		if r.RunID != "" {
			f.runs = append(f.runs, r.RunID)
		}
		own := ownRun(r)
		switch operation := operationOf(strings.SplitN(r.Path, "?", 2)[0]); {
		case operation == "v1/traces", operation == "traces":
			chains["spans"] = append(chains["spans"], r)
		case operation == "runs/update" && len(f.runs) > 0 && own == f.runs[0]:
			f.last = append(f.last, r)
		case own != "":
			chains[own] = append(chains[own], r)
		default:
			return fmt.Errorf("arrange the floor: %s %s belongs to no run", r.Method, r.Path)
		}
	}
	if len(f.runs) == 0 || len(chains[f.runs[0]]) == 0 {
		return errors.New("arrange the floor: no run was made")
	}
	for _, id := range f.runs {
		f.chains = append(f.chains, chains[id])
	}
	f.chains = append(f.chains, chains["spans"])
	return nil
}

func ownRun(r recorded) string {
	if r.RunID != "" {
		return r.RunID
	}
	var body struct {
		RunID string `json:"run_id"`
	}
	if json.Unmarshal(r.Body, &body) == nil && body.RunID != "" {
		return body.RunID
	}
	parts := strings.Split(r.Path, "/")
	if i := slices.Index(parts, "artifacts"); i >= 0 && len(parts) > i+2 {
		return parts[i+2] // …/mlflow-artifacts/artifacts/<experiment>/<run>/artifacts/…
	}
	return ""
}

// prepared is one job, with everything in it but the ids of its runs.
type prepared struct {
	chains [][][]byte // header and body of each request
	last   [][]byte
}

// prepare makes the requests of a job with a trace id of its own.
func (f *floor) prepare(id pcommon.TraceID) (*prepared, error) {
	var failed error
	list := func(in []recorded) (out [][]byte) {
		for _, r := range in {
			b, err := f.request(r, id)
			failed = errors.Join(failed, err)
			out = append(out, b)
		}
		return out
	}
	p := &prepared{last: list(f.last)}
	for _, c := range f.chains {
		p.chains = append(p.chains, list(c))
	}
	return p, failed
}

func (f *floor) request(r recorded, id pcommon.TraceID) ([]byte, error) {
	body := bytes.ReplaceAll(r.Body, []byte(f.traceID.String()), []byte(id.String()))
	if r.Header.Get("Content-Encoding") == "gzip" {
		z, err := gzip.NewReader(bytes.NewReader(r.Body))
		if err != nil {
			return nil, err
		}
		plain, err := io.ReadAll(z)
		if err != nil {
			return nil, err
		}
		var packed bytes.Buffer
		w := gzip.NewWriter(&packed)
		if _, err := w.Write(bytes.ReplaceAll(plain, f.traceID[:], id[:])); err != nil {
			return nil, err
		}
		if err := w.Close(); err != nil {
			return nil, err
		}
		body = packed.Bytes()
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\nHost: 127.0.0.1\r\n", r.Method, r.Path)
	for name, values := range r.Header {
		fmt.Fprintf(&b, "%s: %s\r\n", name, values[0])
	}
	fmt.Fprintf(&b, "Content-Length: %d\r\n\r\n", len(body))
	b.Write(body)
	return b.Bytes(), nil
}

// write sends a job.
func (f *floor) write(p *prepared) error {
	var job []string // old and new id of the job's run
	if err := f.conns[0].exchange(p.chains[0][0], &job); err != nil {
		return err
	}
	job = []string{f.runs[0], job[0]}
	chains := slices.Clone(p.chains)
	chains[0] = chains[0][1:]
	if len(f.conns) == 1 {
		spans := len(chains) - 1
		if err := f.spread(chains[spans], job); err != nil {
			return err
		}
		chains = chains[:spans]
	}
	type chain struct {
		requests [][]byte
		recorded string // run in the recording that it makes; "" = none
	}
	work := make(chan chain, len(chains))
	for i, c := range chains {
		made := ""
		if i > 0 && i < len(f.runs) {
			made = f.runs[i]
		}
		work <- chain{c, made}
	}
	close(work)
	errs := make(chan error, len(f.conns))
	for _, c := range f.conns {
		go func() {
			for w := range work {
				ids := slices.Clone(job)
				for i, request := range w.requests {
					var made []string
					if err := c.exchange(fill(request, ids), &made); err != nil {
						errs <- err
						return
					}
					if i == 0 && w.recorded != "" {
						ids = append(ids, w.recorded, made[0])
					}
				}
			}
			errs <- nil
		}()
	}
	var failed error
	for range f.conns {
		failed = errors.Join(failed, <-errs)
	}
	for _, request := range p.last {
		if failed == nil {
			failed = f.conns[0].exchange(fill(request, job), nil)
		}
	}
	return failed
}

// fill puts in ids; each has the length of the one in its place.
func fill(request []byte, ids []string) []byte {
	for i := 0; i < len(ids); i += 2 {
		request = bytes.ReplaceAll(request, []byte(ids[i]), []byte(ids[i+1]))
	}
	return request
}

// exchange sends a request and reads its answer; made gets the id of the run in it.
func (c *conn) exchange(request []byte, made *[]string) error {
	if _, err := c.Write(request); err != nil {
		return err
	}
	r, err := http.ReadResponse(c.in, nil)
	if err != nil {
		return err
	}
	body, err := io.ReadAll(r.Body)
	if err = errors.Join(err, r.Body.Close()); err != nil {
		return err
	}
	if r.StatusCode != http.StatusOK {
		head, _, _ := bytes.Cut(request, []byte("\r\n"))
		return fmt.Errorf("%s: %s: %s", head, r.Status, body)
	}
	if made != nil {
		*made = append(*made, runID(body))
	}
	return nil
}
