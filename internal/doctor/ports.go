package doctor

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"strings"
	"time"

	"github.com/technoshare/commentator/internal/config"
)

// listener is an address that one of the programs listens on.
type listener struct {
	config.CollectorSetting
	program string // worker or Collector
}

func (p *Patient) listeners() []listener {
	var all []listener
	for _, a := range p.Collector.Addresses() {
		all = append(all, listener{a, "Collector"})
	}
	if p.Config.MetricsAddr != "" {
		all = append(all, listener{config.CollectorSetting{Name: "METRICS_ADDR", Address: p.Config.MetricsAddr}, "worker"})
	}
	if p.Config.SlackSigningSecret != "" {
		all = append(all, listener{config.CollectorSetting{Name: "SLACK_EVENTS_ADDR", Address: p.Config.SlackEventsAddr}, "worker"})
	}
	return all
}

func probePorts(ctx context.Context, p *Patient) Finding {
	var names []string
	for _, a := range p.Collector.Addresses() {
		names = append(names, a.Name)
	}
	if err := p.wrong(names...); err != nil {
		return skip("the settings are wrong: %v", err)
	}
	all := p.listeners()
	if twice := doubled(all); len(twice) > 0 {
		return Finding{
			Status: Fail, Found: strings.Join(twice, "\n"),
			Means: "Whichever program starts second does not start.",
			Fix:   "Give one of them another port in .env.",
		}
	}
	foreign, silent := p.taken(ctx, all)
	if len(foreign) > 0 {
		return Finding{
			Status: Fail, Found: strings.Join(append(foreign, silent...), "\n"),
			Means: "The program whose address it is does not start.",
			Fix:   "End the other program, or choose another address with the setting that is named.",
		}
	}
	if len(silent) > 0 {
		return Finding{
			Status: Fail, Found: strings.Join(silent, "\n"),
			Means: "A Collector runs with other settings than these, or hangs: whether it works does not show.",
			Fix:   "Restart the Collector, so that it has the settings of now, or set OTELCOL_HEALTH_ENDPOINT to where it answers. If it is another deployment's, choose other addresses for this one.",
		}
	}
	if odd := p.apart(ctx); odd != "" {
		return Finding{
			Status: Warn, Found: odd,
			Means: "The worker's telemetry does not reach this Collector.",
			Fix:   "Let OTEL_EXPORTER_OTLP_ENDPOINT name the address of OTELCOL_GRPC_ENDPOINT, or leave both unset.",
		}
	}
	return ok("%d addresses differ, and nobody else has them", len(all))
}

// doubled names the settings that have one address.
func doubled(all []listener) (twice []string) {
	for i, a := range all {
		for _, b := range all[:i] {
			if collide(a.Address, b.Address) {
				twice = append(twice, fmt.Sprintf("%s (%s) and %s (%s) are both %s.", b.Name, b.program, a.Name, a.program, a.Address))
			}
		}
	}
	return twice
}

// collide reports whether two programs cannot listen on these addresses together.
func collide(a, b string) bool {
	hostA, portA, errA := net.SplitHostPort(a)
	hostB, portB, errB := net.SplitHostPort(b)
	if errA != nil || errB != nil || portA != portB || portA == "0" {
		return false
	}
	everywhere := func(host string) bool {
		ip := net.ParseIP(host)
		return host == "" || ip != nil && ip.IsUnspecified()
	}
	return everywhere(hostA) || everywhere(hostB) || hostName(hostA) == hostName(hostB)
}

func hostName(name string) string {
	if name == "localhost" {
		return "127.0.0.1"
	}
	return name
}

// collectorName is the program whose name a Collector's process has.
const collectorName = "otelcol-mlflow"

// taken names addresses of programs that do not run, and that somebody listens on all the same; silent are
// those of a Collector that runs and does not answer where the settings say.
func (p *Patient) taken(ctx context.Context, all []listener) (foreign, silent []string) {
	n, err := p.workers(ctx)
	worker := n > 0 || err != nil // it may run
	health, _ := p.health(ctx, p.Collector.Health)
	collector := health != nil
	for _, l := range all {
		if l.program == "worker" && worker || l.program == "Collector" && collector || !ownAddress(ctx, l.Address) || !listens(ctx, l.Address) {
			continue
		}
		who := ""
		if _, port, err := net.SplitHostPort(l.Address); err == nil {
			if name := holder(port); name != "" {
				if l.program == "Collector" && strings.HasPrefix(name, collectorName+",") {
					silent = append(silent, fmt.Sprintf("%s listens on %s (%s), and does not answer at OTELCOL_HEALTH_ENDPOINT, %s.", name, l.Address, l.Name, p.Collector.Health))
					continue
				}
				who = " (" + name + ")"
			} else if l.program == "Collector" { // another user's processes do not show
				who = " (perhaps otelcol-mlflow of another user, which does not answer at OTELCOL_HEALTH_ENDPOINT)"
			}
		}
		foreign = append(foreign, fmt.Sprintf("another program%s listens on %s, which %s gives to the %s, and no %s runs here.", who, l.Address, l.Name, l.program, l.program))
	}
	return foreign, silent
}

// ownAddress reports whether a program on this host can listen on an address: another host's
// belongs to a program there.
func ownAddress(ctx context.Context, address string) bool {
	host, port, err := net.SplitHostPort(reach(address))
	return err == nil && port != "0" && onThisHost(ctx, host)
}

func listens(ctx context.Context, address string) bool {
	dialer := net.Dialer{Timeout: time.Second}
	conn, err := dialer.DialContext(ctx, "tcp", reach(address))
	if err != nil {
		return false
	}
	_ = conn.Close() // nothing was sent
	return true
}

// apart says when the worker sends to another port of this host than the Collector listens on.
func (p *Patient) apart(ctx context.Context) string {
	u, err := url.Parse(p.Config.OTLPEndpoint)
	_, port, portErr := net.SplitHostPort(p.Collector.GRPC)
	if err != nil || portErr != nil || u.Port() == "" || u.Port() == port {
		return ""
	}
	if health, _ := p.health(ctx, p.Collector.Health); health == nil || !onThisHost(ctx, u.Hostname()) {
		return "" // it is another one's
	}
	return fmt.Sprintf("OTEL_EXPORTER_OTLP_ENDPOINT is %s, and the Collector here takes OTLP/gRPC on %s.", p.Config.OTLPEndpoint, p.Collector.GRPC)
}
