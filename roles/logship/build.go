package logship

import (
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/sidecar-kit/sidecar/roles/logship/content"
	"github.com/sidecar-kit/sidecar/roles/logship/dead"
	"github.com/sidecar-kit/sidecar/roles/logship/hold"
	"github.com/sidecar-kit/sidecar/roles/logship/keep"
	"github.com/sidecar-kit/sidecar/roles/logship/outputs"
	"github.com/sidecar-kit/sidecar/roles/logship/pipe"
	"github.com/sidecar-kit/sidecar/roles/logship/source"
	"github.com/sidecar-kit/sidecar/roles/logship/state"
)

// build opens the state and makes everything; nothing is read yet.
func (l *Logship) build(p *plan) (*works, error) {
	var err error
	if l.cfg.State == "" {
		err = hold.Claim(p.inputs[0].source.Folders()[0])
	}
	var store *state.Store
	if err == nil {
		store, err = state.Open(p.state, l.log)
	}
	if err != nil {
		return nil, fmt.Errorf("--state: %w\nhint: logship needs a folder that it can write to and that stays when the container starts again", err)
	}
	spool, err := hold.OpenSpool(p.spool, 0) // the files of the inputs are bounded together with those of pipes, by source
	if err != nil {
		return nil, errors.Join(fmt.Errorf("--spool: %w\nhint: logship needs a folder that it can write to and that stays when the container starts again", err), store.Close())
	}
	w := &works{plan: p, store: store, pins: hold.NewPins(), spool: spool, dead: dead.New(p.dead, p.deadMax), content: &content.Stats{}}
	if err := l.assemble(w); err != nil {
		return nil, errors.Join(err, store.Close())
	}
	return w, nil
}

func (l *Logship) assemble(w *works) error {
	p := w.plan
	w.store.Outputs(p.readers())
	conf := source.Config{
		Store: w.store, Pins: w.pins, Log: l.log, MaxOpen: l.cfg.MaxOpen, Spool: p.spool, Copies: w.spool,
		SpoolMax: p.spoolMax, SpoolDrop: drops(l.cfg.SpoolPolicy), PinMax: p.pinMax, PinDrop: drops(l.cfg.PinPolicy), Punched: map[string]bool{},
		Never: []string{p.state, p.dead, "/var/run/secrets", "/run/secrets"},
	}
	policies := map[string]keep.Policy{}
	contents := map[string]content.Config{}
	for _, in := range p.inputs {
		if _, err := in.content.New(content.Env{}); err != nil {
			return fmt.Errorf("input %s: %w", in.source.Name, err)
		}
		conf.Inputs = append(conf.Inputs, in.source)
		conf.Punched[in.source.Name] = in.keep.Punch
		policies[in.source.Name], contents[in.source.Name] = in.keep, in.content
	}
	w.keeper = keep.New(policies, l.log)
	var err error
	if w.set, err = source.New(conf); err != nil {
		return err
	}
	batches := 0
	for _, spec := range p.outputs {
		batches += spec.InFlight + 1
	}
	for _, spec := range p.outputs {
		spec.Batch.Bytes = min(spec.Batch.Bytes, int(p.buffer)/batches)
		ln, err := l.lane(w, spec, contents)
		if err != nil {
			return err
		}
		w.lanes = append(w.lanes, ln)
	}
	return nil
}

// drops is what source calls a policy.
func drops(policy string) string {
	if policy == blocks {
		return ""
	}
	return policy
}

func (l *Logship) lane(w *works, spec outputs.Spec, contents map[string]content.Config) (*lane, error) {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	sink, err := spec.New(outputs.Env{Log: l.log, UserAgent: "sidecar-logship", Host: host, Lookup: os.LookupEnv, Stdout: l.env.Stdout})
	if err != nil {
		return nil, err
	}
	letters := w.dead
	if spec.DeadLetter != "" {
		letters = dead.New(spec.DeadLetter, w.plan.deadMax)
	}
	took := l.metrics.took.With(spec.Name)
	ln := &lane{spec: spec, sink: sink}
	ln.pipe = pipe.New(pipe.Config{
		Output: spec.Name, Sink: sink, Store: w.store, Reader: w.set.Reader(spec.Name, w.plan.inputsOf(spec.Name)),
		Program: func(input string) (*content.Program, error) {
			return contents[input].New(content.Env{Stats: w.content})
		},
		Dead: letters, Limits: spec.Batch, InFlight: spec.InFlight, Timeout: spec.Timeout, Backoff: spec.Backoff, Log: l.log,
		Took: func(d time.Duration) { took.Observe(d.Seconds()) },
		Refused: func(letter dead.Letter) {
			l.env.Status.Event("error", fmt.Sprintf("%s refused an event of %s at %d: %s", letter.Output, letter.Path, letter.Offset, letter.Reason))
		},
	})
	return ln, nil
}

func (l *Logship) announce(w *works) {
	for _, in := range w.plan.inputs {
		l.log.Info().Str("input", in.source.Name).Strs("paths", in.source.Paths).Strs("outputs", in.outputs).Msg("reading")
	}
	for _, ln := range w.lanes {
		l.log.Info().Str("output", ln.spec.Name).Str("to", ln.spec.String()).Int("batch_bytes", ln.spec.Batch.Bytes).Int("in_flight", ln.spec.InFlight).Msg("shipping")
	}
	l.log.Info().Str("state", w.plan.state).Str("dead_letters", w.plan.dead).Msg("positions are kept")
}
