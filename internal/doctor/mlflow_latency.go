package doctor

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"time"
)

// Requests on one connection. The system acknowledges the first ones of a connection at once by
// itself, so that those are not counted.
const (
	requests  = 16
	uncounted = 6
	// connections are made to learn how long the way is: of those that a busy host delays another is
	// shorter.
	connections = 5
)

func probeLatency(ctx context.Context, p *Patient) Finding {
	quick, err := median(func() error {
		_, err := p.MLflow.Health(ctx)
		return err
	})
	if err != nil {
		return skip("it stopped answering: %v", err)
	}
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 1}, Timeout: 10 * time.Second}
	defer client.CloseIdleConnections()
	plain, err := median(func() error { return plainHealth(ctx, client, p.MLflow.Endpoint()+"/health") })
	if err != nil {
		return skip("it stopped answering: %v", err)
	}
	way := time.Duration(0)
	if quick >= p.Limits.Slow {
		way = connectTime(ctx, p.MLflow)
	}
	return judgeLatency(quick, plain, way, p.Limits.Slow)
}

// judgeLatency says what it means how long a request takes, one that leaves acknowledgements to
// the system, and the way there and back, which is asked for when a request is slow.
func judgeLatency(quick, plain, way, slow time.Duration) Finding {
	if quick < slow {
		if plain-quick >= slow/2 {
			return ok("%s a request; a client that leaves acknowledgements to the system waits %s, since MLflow's server keeps small packets back (Nagle's algorithm). "+
				"The Collector and mlflowctl acknowledge at once; MLflow's Python client does not", ms(quick), ms(plain))
		}
		return ok("%s a request, and no delayed acknowledgements (%s without own ones)", ms(quick), ms(plain))
	}
	if way < slow/3 && quick < 4*slow {
		return Finding{
			Status: Warn, Found: fmt.Sprintf("%s a request, although a connection takes %s", ms(quick), ms(way)),
			Means: "Somebody on the way waits for delayed acknowledgements, a proxy that keeps its connections to MLflow above all: a job takes a second longer.",
			Fix:   "Let MLFLOW_TRACKING_URI name MLflow itself, or let it run with --workers 1, with which it sends at once; on other systems than Linux acknowledgements cannot be hastened.",
		}
	}
	return Finding{
		Status: Warn, Found: fmt.Sprintf("%s a request, %s a connection", ms(quick), ms(way)),
		Means: "MLflow is far away or busy. A job takes about 26 requests, so that jobs arrive late.",
		Fix:   "Let the Collector run beside MLflow; look at the load of MLflow's host.",
	}
}

func plainHealth(ctx context.Context, client *http.Client, address string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return err
	}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, io.LimitReader(resp.Body, 1<<20))
	_ = resp.Body.Close() // it was read
	return err
}

func median(ask func() error) (time.Duration, error) {
	times := make([]time.Duration, 0, requests)
	for range requests {
		start := time.Now()
		if err := ask(); err != nil {
			return 0, err
		}
		times = append(times, time.Since(start))
	}
	times = times[uncounted:]
	slices.Sort(times)
	return times[len(times)/2], nil
}

// connectTime is how long a connection takes at best, which is one way there and back; 0: it is not known.
func connectTime(ctx context.Context, m interface{ Endpoint() string }) time.Duration {
	address, err := hostPort(m.Endpoint())
	if err != nil {
		return 0
	}
	var dialer net.Dialer
	shortest := time.Duration(0)
	for range connections {
		start := time.Now()
		conn, err := dialer.DialContext(ctx, "tcp", address)
		if err != nil {
			return shortest
		}
		if took := time.Since(start); shortest == 0 || took < shortest {
			shortest = took
		}
		_ = conn.Close() // nothing was sent
	}
	return shortest
}

func ms(d time.Duration) string { return fmt.Sprintf("%.1f ms", float64(d)/1e6) }

// probeClock compares this host's clock with those of the servers that tell theirs.
func probeClock(ctx context.Context, p *Patient) Finding {
	var said []string
	var worst time.Duration
	look := func(whose string, ask func() (time.Time, error)) {
		before := p.Now()
		at, err := ask()
		if err != nil || at.IsZero() {
			return
		}
		after := p.Now()
		// The head of the answer was written between before and after, has whole seconds, and
		// MLflow's server writes the time of the second before.
		skew := time.Duration(0)
		if late := before.Sub(at.Add(2 * time.Second)); late > 0 {
			skew = -late
		} else if early := at.Sub(after); early > 0 {
			skew = early
		}
		said = append(said, fmt.Sprintf("%s %s", whose, skewed(skew)))
		if skew.Abs() > worst {
			worst = skew.Abs()
		}
	}
	if p.MLflow != nil {
		look("MLflow's clock is", func() (time.Time, error) { return p.mlflowHealth(ctx) })
	}
	if p.Config.SlackBotToken != "" {
		look("Slack's clock is", func() (time.Time, error) {
			s, err := p.slackHistory().Standing(ctx)
			return s.At, err
		})
	}
	if len(said) == 0 {
		return skip("nobody told the time")
	}
	f := Finding{
		Status: OK, Found: joined(said),
		Means: "Runs and traces have the worker's times: they are sorted wrongly, and what is searched for by time is missed. Slack's signatures hold for five minutes.",
		Fix:   "Let each host keep its clock by NTP (timedatectl set-ntp true); the one that differs from the others is wrong.",
	}
	switch {
	case worst >= p.Limits.SkewFail:
		f.Status = Fail
	case worst >= p.Limits.SkewWarn:
		f.Status = Warn
	default:
		f.Means, f.Fix = "", ""
	}
	return f
}

func skewed(skew time.Duration) string {
	switch {
	case skew.Abs() < time.Second:
		return "this host's"
	case skew > 0:
		return skew.Round(time.Second).String() + " ahead of this host's"
	}
	return skew.Abs().Round(time.Second).String() + " behind this host's"
}
