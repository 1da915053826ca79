//go:build linux

package main

import (
	"bytes"
	"io"
	"net"
	"net/url"
	"sync/atomic"
)

// meter is a TCP proxy that counts what goes through. It adds time of its own, so nothing is
// timed through it.
type meter struct {
	url      string
	listener net.Listener
	requests atomic.Int64
	up, down atomic.Int64 // bytes
}

func startMeter(target string) (*meter, error) {
	u, err := url.Parse(target)
	if err != nil {
		return nil, err
	}
	m := &meter{}
	if m.listener, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		return nil, err
	}
	m.url = "http://" + m.listener.Addr().String()
	go func() {
		for {
			client, err := m.listener.Accept()
			if err != nil {
				return // closed
			}
			go m.serve(client, u.Host)
		}
	}()
	return m, nil
}

func (m *meter) serve(client net.Conn, host string) {
	defer client.Close()
	server, err := net.Dial("tcp", host)
	if err != nil {
		return
	}
	defer server.Close()
	go func() {
		defer client.Close()
		defer server.Close()
		_, _ = io.Copy(client, io.TeeReader(server, counting(func(b []byte) { m.down.Add(int64(len(b))) })))
	}()
	mark, rest := []byte(" HTTP/1.1\r\n"), []byte(nil)
	_, _ = io.Copy(server, io.TeeReader(client, counting(func(b []byte) {
		m.up.Add(int64(len(b)))
		rest = append(rest, b...)
		m.requests.Add(int64(bytes.Count(rest, mark)))
		rest = bytes.Clone(rest[max(0, len(rest)-len(mark)+1):])
	})))
}

type counting func([]byte)

func (c counting) Write(b []byte) (int, error) { c(b); return len(b), nil }

// passed is what went through.
type passed struct {
	Requests float64 `json:"requests"`
	Sent     float64 `json:"sent_bytes"`
	Received float64 `json:"received_bytes"`
}

func (m *meter) read() passed {
	return passed{float64(m.requests.Load()), float64(m.up.Load()), float64(m.down.Load())}
}

// perJob is what went through since before, divided by a number of jobs.
func (m *meter) perJob(before passed, jobs int) passed {
	now, n := m.read(), float64(jobs)
	return passed{(now.Requests - before.Requests) / n, (now.Sent - before.Sent) / n, (now.Received - before.Received) / n}
}
