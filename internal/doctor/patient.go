package doctor

import (
	"cmp"
	"context"
	"errors"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"time"

	"github.com/technoshare/commentator/internal/config"
	"github.com/technoshare/commentator/internal/mlflow"
	"github.com/technoshare/commentator/internal/queue"
	"github.com/technoshare/commentator/internal/redact"
	"github.com/technoshare/commentator/internal/store"
	"github.com/technoshare/commentator/internal/telemetry"
)

// Patient is what is looked at: the settings, and what they lead to.
type Patient struct {
	// Config are the settings, as far as they could be read.
	Config config.Config
	// Warnings and Problem are what was said of them.
	Warnings []config.Warning
	Problem  error
	// Options say where they were read.
	Options config.Options
	// Collector is where the Collector is; CollectorProblem says what is wrong with that.
	Collector        config.Collector
	CollectorProblem error
	// MLflow speaks to the server. Nil: its address is wrong, which Problem says.
	MLflow *mlflow.Client
	// Experiment is the one that jobs go to. Empty: that of the Collector.
	Experiment string
	// Limits are those of what is measured.
	Limits Limits
	// Now is the clock. Default time.Now.
	Now func() time.Time
	// Transport carries what goes to Slack and to the model. Default http.DefaultTransport.
	Transport http.RoundTripper

	silent     error // why MLflow did not answer at all; nil: it did, or was not asked yet
	asked      bool
	experiment mlflow.Experiment
	answer     error
	local      *localServer
	looked     bool
	db         *store.ReadOnly
	dbErr      error
	status     *store.Status
	lost       map[string]bool // probes that warn of something that is not there
}

// Limits say when something that is measured is worth a word.
type Limits struct {
	Slow     time.Duration // a request to MLflow; default 35 ms, a little less than a delayed ACK takes
	SkewWarn time.Duration // between two clocks; default 5 s
	SkewFail time.Duration // default 2 min
	WaitWarn time.Duration // the oldest message in the outbox; default 5 min
	WaitFail time.Duration // default 6 h
	FullWarn float64       // share of a queue or of the outbox; default 0.5
	FullFail float64       // default 0.9
	DiskWarn int64         // free bytes beside what the outbox may still take; default 1 GiB
	DiskFail int64         // free bytes; default 256 MiB
	Workers  int           // of MLflow on SQLite; default 2
	Patience time.Duration // for one probe; default 90 s
	Answer   time.Duration // for MLflow's /health, which asks no database; default 10 s
}

// New fills in the defaults.
func New(p Patient) *Patient {
	l := &p.Limits
	l.Slow = cmp.Or(l.Slow, 35*time.Millisecond)
	l.SkewWarn, l.SkewFail = cmp.Or(l.SkewWarn, 5*time.Second), cmp.Or(l.SkewFail, 2*time.Minute)
	l.WaitWarn, l.WaitFail = cmp.Or(l.WaitWarn, 5*time.Minute), cmp.Or(l.WaitFail, 6*time.Hour)
	l.FullWarn, l.FullFail = cmp.Or(l.FullWarn, 0.5), cmp.Or(l.FullFail, 0.9)
	l.DiskWarn, l.DiskFail = cmp.Or(l.DiskWarn, 1<<30), cmp.Or(l.DiskFail, 256<<20)
	l.Workers = cmp.Or(l.Workers, 2)
	l.Patience = cmp.Or(l.Patience, 90*time.Second)
	l.Answer = cmp.Or(l.Answer, 10*time.Second)
	if p.Now == nil {
		p.Now = time.Now
	}
	if p.Transport == nil {
		p.Transport = http.DefaultTransport
	}
	p.Experiment = cmp.Or(p.Experiment, p.Collector.Experiment)
	p.lost = map[string]bool{}
	return &p
}

func (p *Patient) patience() time.Duration { return p.Limits.Patience }

// close gives back what was opened.
func (p *Patient) close() {
	if p.db != nil {
		_ = p.db.Close() // it was only read
	}
}

// wrong is what is wrong with the settings of the Collector that a probe needs; nil: nothing.
func (p *Patient) wrong(settings ...string) error {
	return config.WrongAmong(p.CollectorProblem, settings...)
}

// gone is a finding of something that is not there: a failure when jobs are recorded, else a
// warning. What needs it is skipped in either case.
func (p *Patient) gone(probe string, f Finding) Finding {
	p.lost[probe] = true
	f.Status = Fail
	if mode, why := p.Config.Mode(); mode == telemetry.ModeOff {
		f.Status = Warn
		f.Means = "Nothing is recorded at present (" + why + "), so nothing is lost."
	}
	return f
}

func (p *Patient) unreachable(probe string) bool { return p.lost[probe] }

// path is a path of the settings, which is relative to where they were read.
func (p *Patient) path(path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(p.Options.Dir, path)
}

// masks finds what looks like a secret, in the query of an address for instance.
var masks = redact.New(nil)

// hide keeps secrets of the settings out of a text, wherever it came from.
func (p *Patient) hide(text string) string {
	c := p.Config
	secrets := []string{c.SlackBotToken, c.SlackAppToken, c.SlackSigningSecret, c.OpenAIKey, c.GithubToken}
	for _, address := range []string{c.DatabaseURL, c.TrackingURI, c.OTLPEndpoint, c.OpenAIBaseURL} {
		if u, err := url.Parse(address); err == nil && u.User != nil {
			password, _ := u.User.Password()
			secrets = append(secrets, password, url.QueryEscape(password))
		}
	}
	for _, value := range c.OTLPHeaders {
		secrets = append(secrets, value)
	}
	for _, s := range secrets {
		if len(s) >= 4 {
			text = strings.ReplaceAll(text, s, "•••")
		}
	}
	return masks.Text(text)
}

// mlflowHealth is GET /health, and the server's time. A server that did not answer is not asked again: one that
// hangs would take the whole time of each probe.
func (p *Patient) mlflowHealth(ctx context.Context) (time.Time, error) {
	if p.silent != nil {
		return time.Time{}, p.silent
	}
	bounded, cancel := context.WithTimeout(ctx, p.Limits.Answer)
	defer cancel()
	at, err := p.MLflow.Health(bounded)
	var e *mlflow.Error
	answered := err == nil || errors.As(err, &e) && e.Status != 0
	if !answered && ctx.Err() == nil {
		p.silent = err
	}
	return at, err
}

// theExperiment reads the experiment that jobs go to, once.
func (p *Patient) theExperiment(ctx context.Context) (mlflow.Experiment, error) {
	if !p.asked {
		p.asked = true
		p.experiment, p.answer = p.MLflow.GetExperimentByName(ctx, p.Experiment)
	}
	return p.experiment, p.answer
}

// database opens the job database, once. An error wraps store.ErrNoDatabase when there is none.
func (p *Patient) database(ctx context.Context) (*store.ReadOnly, error) {
	if p.db == nil && p.dbErr == nil {
		address := p.Config.DatabaseURL
		if address == "" {
			address = p.path(p.Config.DBPath)
		}
		p.db, p.dbErr = store.OpenReadOnly(ctx, address)
	}
	return p.db, p.dbErr
}

// jobs reads what the job database holds, once.
func (p *Patient) jobs(ctx context.Context) (store.Status, error) {
	if p.status != nil {
		return *p.status, nil
	}
	db, err := p.database(ctx)
	if err != nil {
		return store.Status{}, err
	}
	status, err := db.Status(ctx)
	if err == nil {
		p.status = &status
	}
	return status, err
}

// workers counts the processes that work on the job database.
func (p *Patient) workers(ctx context.Context) (int, error) {
	db, err := p.database(ctx)
	if errors.Is(err, store.ErrNoDatabase) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	if !db.File() {
		return queue.Workers(ctx, db.Reader())
	}
	busy, err := queue.Busy(db.LockPath())
	if busy {
		return 1, err
	}
	return 0, err
}

// reach is host:port at which a listener on an address is reached from this host.
func reach(address string) string {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return address
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return net.JoinHostPort(host, port)
}

// onThisHost reports whether an address leads to this machine.
func onThisHost(ctx context.Context, host string) bool {
	var resolver net.Resolver
	ips, err := resolver.LookupIPAddr(ctx, host)
	if err != nil {
		return false
	}
	own, err := net.InterfaceAddrs()
	if err != nil {
		return false
	}
	for _, ip := range ips {
		if ip.IP.IsLoopback() {
			return true
		}
		for _, a := range own {
			if n, isNet := a.(*net.IPNet); isNet && n.IP.Equal(ip.IP) {
				return true
			}
		}
	}
	return false
}

// hostPort is where an http or https address leads.
func hostPort(address string) (string, error) {
	u, err := url.Parse(address)
	if err != nil {
		return "", err
	}
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	return net.JoinHostPort(u.Hostname(), port), nil
}

// joined is a list for people.
func joined(list []string) string { return strings.Join(list, ", ") }
