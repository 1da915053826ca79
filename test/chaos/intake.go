//go:build linux

package main

import (
	"encoding/binary"
	"io"
	"net"
	"sync"
)

// intake is where the worker finds the Collector. It rings at each request and at each answer,
// which it holds meanwhile, and is closed while the Collector is down, as gate is for MLflow.
type intake struct {
	bell            *bell
	address, target string

	mu       sync.Mutex
	listener net.Listener
	conns    map[net.Conn]bool
}

func (i *intake) open() error {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.listener != nil {
		return nil
	}
	l, err := net.Listen("tcp", i.address)
	if err != nil {
		return err
	}
	i.listener, i.conns = l, map[net.Conn]bool{}
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return // closed
			}
			go i.serve(l, conn)
		}
	}()
	return nil
}

// close cuts all connections off. It may be called while the bell rings.
func (i *intake) close() {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.listener == nil {
		return
	}
	_ = i.listener.Close()
	for conn := range i.conns {
		_ = conn.Close()
	}
	i.listener, i.conns = nil, nil
}

// cut cuts all connections off, so that what is held is not handed on after its sender died.
// It may be called while the bell rings.
func (i *intake) cut() {
	i.mu.Lock()
	defer i.mu.Unlock()
	for conn := range i.conns {
		_ = conn.Close()
	}
	clear(i.conns)
}

// keep notes connections that close has to cut, unless that has happened already.
func (i *intake) keep(l net.Listener, conns ...net.Conn) bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	for _, conn := range conns {
		if i.listener == l {
			i.conns[conn] = true
		}
	}
	return i.listener == l
}

func (i *intake) serve(l net.Listener, from net.Conn) {
	defer from.Close()
	to, err := net.Dial("tcp", i.target)
	if err != nil {
		return
	}
	defer to.Close()
	if !i.keep(l, from, to) {
		return
	}
	var both sync.WaitGroup
	for _, way := range []func(){
		func() {
			if _, err := io.CopyN(to, from, prefaceSize); err == nil {
				i.pass(to, from, frameData, eventExport)
			}
		},
		func() { i.pass(from, to, frameHeaders, eventTaken) },
	} {
		both.Go(func() {
			defer from.Close()
			defer to.Close()
			way()
		})
	}
	both.Wait()
}

// What is needed of HTTP/2 (RFC 9113): a frame has its length in three bytes, its type, its
// flags and its stream in four. A gRPC request ends with a data frame, an answer with headers.
const (
	prefaceSize        = 24
	frameHeader        = 9
	frameData     byte = 0
	frameHeaders  byte = 1
	flagEndStream byte = 1
)

// pass hands frames on, and rings before each that ends a stream with a frame of the kind.
func (i *intake) pass(to io.Writer, from io.Reader, kind byte, e event) {
	for {
		frame := make([]byte, frameHeader)
		if _, err := io.ReadFull(from, frame); err != nil {
			return
		}
		length := binary.BigEndian.Uint32(append([]byte{0}, frame[:3]...))
		ends := frame[3] == kind && frame[4]&flagEndStream != 0
		frame = append(frame, make([]byte, length)...)
		if _, err := io.ReadFull(from, frame[frameHeader:]); err != nil {
			return
		}
		if ends {
			i.bell.ring(e, 1)
		}
		if _, err := to.Write(frame); err != nil {
			return
		}
	}
}
