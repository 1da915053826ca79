//go:build linux

package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/technoshare/commentator/test/slackfake"
)

// bursts lets as many events come as are taken. No job waits when the first of them comes.
func (b *ingestBench) bursts(ctx context.Context, r *ingestRaw) error {
	p, err := b.worker("burst")
	if err != nil {
		return err
	}
	defer p.stop()
	for range b.o.rounds {
		if err := b.burst(ctx, r); err != nil {
			return err
		}
	}
	return nil
}

// burst sends events over HTTP from several senders, each when the one before is acknowledged.
func (b *ingestBench) burst(ctx context.Context, r *ingestRaw) error {
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: ingestSenders}}
	defer client.CloseIdleConnections()
	var mu sync.Mutex
	var group sync.WaitGroup
	var failed error
	var acks []float64
	start := time.Now()
	for range ingestSenders {
		group.Go(func() {
			for time.Since(start) < b.length.burst {
				_, e := b.fake.Write(slackfake.Message{Channel: ingestChannel, User: slackfake.Person, Text: "look <" + b.link() + ">"})
				took, err := b.deliver(ctx, client, e)
				mu.Lock()
				if err != nil {
					failed = err
				}
				acks = append(acks, ms(took))
				mu.Unlock()
				if err != nil {
					return
				}
			}
		})
	}
	group.Wait()
	if failed != nil {
		return failed
	}
	r.Rates = append(r.Rates, float64(len(acks))/time.Since(start).Seconds())
	r.Loaded = append(r.Loaded, acks...)
	return nil
}

func (b *ingestBench) deliver(ctx context.Context, client *http.Client, e slackfake.Event) (time.Duration, error) {
	request, err := slackfake.SignedRequest(ctx, b.address(), "signing-secret", time.Now(), e.Body)
	if err != nil {
		return 0, err
	}
	start := time.Now()
	res, err := client.Do(request)
	if err != nil {
		return 0, err
	}
	defer res.Body.Close()
	_, _ = io.Copy(io.Discard, res.Body)
	if res.StatusCode != http.StatusOK {
		return 0, fmt.Errorf("an event is answered %s", res.Status)
	}
	return time.Since(start), nil
}
