// Package diskqueue mends how exporterhelper's queue on disk comes back after a crash.
//
// The queue lists the items that its consumers have in hand. When it starts it reads those
// of its last life, deletes them, and then puts them in again, one by one: a second crash
// in between loses them (enqueueNotDispatchedReqs in persistent_queue.go, v0.161). Recover
// does the same in one step before the queue sees its storage, so that the queue finds
// nothing in hand.
package diskqueue

import (
	"context"
	"encoding/binary"
	"fmt"
	"slices"
	"strconv"

	"go.opentelemetry.io/collector/extension/xextension/storage"
	"google.golang.org/protobuf/encoding/protowire"
)

// What the queue writes: its state under one key, a PersistentMetadata message, and each
// item under its index. A test runs over the real queue, so that another version that
// writes something else is noticed.
const (
	metadataKey = "qmv0"

	fieldWriteIndex protowire.Number = 4 // where the next item goes
	fieldInHand     protowire.Number = 5 // indexes of the items in consumers' hands
)

// Recover moves the items that were in hand to the end of the queue, and gives their
// number.
//
// A client whose batches are transactions, such as file_storage, has each item exactly
// once whenever the process dies. Otherwise the order of the operations keeps every item:
// copies come first, then the state that knows of them, and the originals go last.
func Recover(ctx context.Context, client storage.Client) (moved int, err error) {
	raw, err := client.Get(ctx, metadataKey)
	if err != nil {
		return 0, fmt.Errorf("read state of queue: %w", err)
	}
	state, err := parse(raw)
	if err != nil {
		return 0, fmt.Errorf("read state of queue: %w", err)
	}
	if len(state.inHand) == 0 {
		return 0, nil
	}
	reads := make([]*storage.Operation, len(state.inHand))
	for i, index := range state.inHand {
		reads[i] = storage.GetOperation(itemKey(index))
	}
	if err := client.Batch(ctx, reads...); err != nil {
		return 0, fmt.Errorf("read items in hand: %w", err)
	}
	var ops, deletes []*storage.Operation
	for _, read := range reads {
		if read.Value == nil {
			continue // delivered; only the list was not written any more
		}
		ops = append(ops, storage.SetOperation(itemKey(state.writeIndex+uint64(moved)), read.Value))
		deletes = append(deletes, storage.DeleteOperation(read.Key))
		moved++
	}
	ops = append(ops, storage.SetOperation(metadataKey, state.after(moved)))
	if err := client.Batch(ctx, append(ops, deletes...)...); err != nil {
		return 0, fmt.Errorf("move items in hand: %w", err)
	}
	return moved, nil
}

func itemKey(index uint64) string { return strconv.FormatUint(index, 10) }

// state is what Recover needs of the queue's state; rest holds all other fields as they
// are.
type state struct {
	writeIndex uint64
	inHand     []uint64
	rest       []byte
}

func parse(raw []byte) (state, error) {
	var s state
	for len(raw) > 0 {
		number, kind, n := protowire.ConsumeTag(raw)
		if n < 0 {
			return state{}, protowire.ParseError(n)
		}
		size := protowire.ConsumeFieldValue(number, kind, raw[n:])
		if size < 0 {
			return state{}, protowire.ParseError(size)
		}
		field, value := raw[:n+size], raw[n:n+size]
		raw = raw[n+size:]
		switch {
		case number == fieldWriteIndex && kind == protowire.Fixed64Type:
			s.writeIndex = binary.LittleEndian.Uint64(value)
		case number == fieldInHand && kind == protowire.Fixed64Type:
			s.inHand = append(s.inHand, binary.LittleEndian.Uint64(value))
		case number == fieldInHand && kind == protowire.BytesType:
			packed, _ := protowire.ConsumeBytes(value)
			for ; len(packed) >= 8; packed = packed[8:] {
				s.inHand = append(s.inHand, binary.LittleEndian.Uint64(packed))
			}
		default:
			s.rest = append(s.rest, field...)
		}
	}
	slices.Sort(s.inHand) // so that the oldest comes first again
	return s, nil
}

// after is the state with some items more at the end and none in hand.
func (s state) after(added int) []byte {
	b := protowire.AppendTag(slices.Clone(s.rest), fieldWriteIndex, protowire.Fixed64Type)
	return protowire.AppendFixed64(b, s.writeIndex+uint64(added))
}
