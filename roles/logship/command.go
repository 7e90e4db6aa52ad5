package logship

import (
	"github.com/urfave/cli/v2"

	"github.com/sidecar-kit/sidecar/internal/host"
	"github.com/sidecar-kit/sidecar/internal/role"
	"github.com/sidecar-kit/sidecar/internal/secret"
	"github.com/sidecar-kit/sidecar/roles/logship/outputs"
	"github.com/sidecar-kit/sidecar/roles/logship/source"
)

const doc = `Reads the log files that an application writes to a shared volume, and delivers every line, once:
  sidecar logship --path '/var/log/app/*.log' --to elasticsearch://es:9200/logs-app-default

Files are followed through renames, truncations, compression and removal, also while logship is down. What is not acknowledged is
kept alive by a hard link beside the files, in .sidecar-logship, where its positions are, too, unless --state says otherwise.
docs/roles/logship.md lists what decodes, transforms and outputs there are.

On SIGTERM it reads the files to their end, delivers that and exits 0. What could not be delivered in time stays for the next start.`

const inputsExample = `inputs:
  - name: app
    paths: [/var/log/app/*.log]
    exclude: ["*.debug.log"]
    decode: json
    transforms:
      - add: {kubernetes.pod.name: "${POD_NAME}", service.name: shop}
      - redact: [email, card]
  - name: stacktraces
    paths: [/var/log/app/*.trace]
    multiline: java
    outputs: [es]`

const outputsExample = `outputs:
  - name: es
    to: https://es.example:9200/logs-app-default
    kind: elasticsearch
    ca: /etc/es/ca.crt
    api-key-file: /etc/es/key
  - name: archive
    to: s3://logs.example/app
    inputs: [app]`

// Command returns the logship role.
func Command() *cli.Command {
	cfg := Default()
	inputs := &host.Key{Name: "inputs", Usage: "files beside those of --path, with decodes and transforms", Example: inputsExample, Decode: cfg.setInputs}
	outs := &host.Key{Name: "outputs", Usage: "outputs beside those of --to, with all their options", Example: outputsExample, Decode: cfg.setOutputs}
	inputs.Show = func() any { return showNode(cfg.inputsNode) }
	outs.Show = func() any { return showNode(cfg.outputsNode) }
	cfg.file, cfg.waiting = inputs.File, inputs.Waiting
	cfg.reread = func() error {
		if err := inputs.Reread(); err != nil {
			return err
		}
		return outs.Reread()
	}
	preview := trial{cfg: &cfg}
	again := resend{cfg: &cfg}
	return host.Command(host.Spec{
		Name:  "logship",
		Usage: "ship log files to Elasticsearch and others, every line once",
		Doc:   doc,
		Admin: ":9445",
		Flags: flags(&cfg),
		Keys:  []*host.Key{inputs, outs},
		Commands: []host.Sub{
			{
				Name: "test", Settings: true, Usage: "show what the lines of a file become", Flags: preview.flags(), Run: preview.run,
				Doc: "It takes the flags of logship beside its own. Nothing is sent and nothing remembered. Exits 0, or 64 when the configuration is wrong.",
			},
			{
				Name: "replay", Settings: true, Usage: "send the dead letters again", Flags: again.flags(), Run: again.run,
				Doc: "It takes the flags of logship beside its own, and may run beside it. Letters that are refused again stay. Exits 0 when none is left, 1 when some are.",
			},
		},
		Check: cfg.Validate,
		New:   func(env role.Env) (role.Runner, error) { return New(&cfg, env) },
		Demo:  demo,
	})
}

func flags(c *Config) []cli.Flag {
	list := func(target *[]string, name, usage string) cli.Flag {
		return &cli.GenericFlag{Name: name, Value: host.Strings(target), Usage: usage}
	}
	word := func(target *string, name, usage string) cli.Flag {
		return &cli.StringFlag{Name: name, Destination: target, Usage: usage}
	}
	to := host.Strings(&c.To)
	to.EnvSep, to.Show = "\n", outputs.Show
	stopWhen := host.Strings(&c.StopWhen)
	stopWhen.Show = func(url string) string { return secret.NewURL(url).String() }
	return []cli.Flag{
		list(&c.Paths, "path", "`GLOB` of files to read, absolute, with *, ?, [a-z], {a,b} and ** for any folders; may be repeated"),
		list(&c.Exclude, "exclude", "`GLOB` of paths, or of names when it has no slash, to leave out; may be repeated"),
		&cli.GenericFlag{Name: "to", Value: to, Usage: "`URL` of an output with its options as a query: elasticsearch://HOST:9200/INDEX, opensearch, loki, otlp, forward, kafka, s3, syslog, http, stdout, file:/PATH; may be repeated. In the environment one a line"},
		&cli.GenericFlag{Name: "start", Value: host.OneOf(&c.Start, "beginning", "end"), Usage: "where reading begins in files that are there when logship meets them first at its start; files that appear later are read from their beginning"},
		word(&c.IgnoreOlder, "ignore-older", "leave files alone that were written to longer ago than this `TIME`, such as 7d, until they grow"),
		word(&c.Decode, "decode", "what a line is: raw, json, logfmt, nginx, apache, cri, syslog, klog, csv or auto; a regex is given in the config file"),
		word(&c.Multiline, "multiline", "lines that belong together: java, python, go, ruby or node, several with commas; own patterns are given in the config file"),
		&cli.BoolFlag{Name: "kubernetes", Destination: &c.Kubernetes, Usage: "add kubernetes.* to every event: the pod's name, namespace, node, uid and address from POD_NAME, POD_NAMESPACE, NODE_NAME, POD_UID, POD_IP, labels and annotations from /etc/podinfo, each if it is there"},
		list(&c.Add, "add", "`KEY=VALUE` in every event; ${NAME} is from the environment; may be repeated"),
		list(&c.Redact, "redact", "`PRESET` of what is made unreadable: email, card, bearer, jwt, aws, ipv4; may be repeated"),
		&cli.GenericFlag{Name: "engine", Value: host.OneOf(&c.Engine, "block", "tail"), Usage: "what reads files: block, or tail (nxadm/tail, which is slower)"},
		&cli.GenericFlag{Name: "pin", Value: host.OneOf(&c.Pin, "auto", "always", "never"), Usage: "when a hard link keeps a file alive: auto, which is while an output lacks some of it for more than 2s, once it is renamed, and at the end; always, which logrotate takes only with allowhardlink; never"},
		word(&c.MaxLine, "max-line", "most `BYTES` of a line"),
		&cli.GenericFlag{Name: "long-lines", Value: host.OneOf(&c.LongLines, "split", "cut"), Usage: "what becomes of longer lines: split into several events, or cut off; both are marked"},
		list(&c.Symlinks, "symlinks", "`FOLDER` that symbolic links of logs may lead to; without it no link is followed. May be repeated"),
		&cli.BoolFlag{Name: "fifo", Destination: &c.FIFO, Usage: "read named pipes, too, through a spool"},
		&cli.BoolFlag{Name: "delete", Destination: &c.Delete, Usage: "remove rotated files that every output has"},
		&cli.BoolFlag{Name: "punch", Destination: &c.Punch, Usage: "give blocks back that every output has, of files that go on"},
		word(&c.State, "state", "`FOLDER` for positions and dead letters; it has to stay when the container starts again. Without it: .sidecar-logship/state beside the first files"),
		word(&c.Buffer, "buffer", "most `BYTES` of events in memory that are not delivered, of all outputs; reading stops before there are more"),
		word(&c.Spool, "spool", "`FOLDER` for copies of what cannot be kept alive by a link; without it: spool in --state"),
		word(&c.SpoolMax, "spool-max", "most `BYTES` in --spool, such as 256MiB; 0: no limit. Pipes are not read from while it is full"),
		&cli.GenericFlag{Name: "spool-policy", Value: host.OneOf(&c.SpoolPolicy, blocks, source.DropOldest), Usage: "what happens when --spool is full: block keeps removed files open, which a kill loses; drop-oldest drops the oldest copies, which is a gap that is recorded and counted"},
		word(&c.PinMax, "pin-max", "most `BYTES` of removed files that links and open files keep for outputs that lack them, such as 2GiB; 0: no limit"),
		&cli.GenericFlag{Name: "pin-policy", Value: host.OneOf(&c.PinPolicy, blocks, source.DropOldest, source.DropNewest), Usage: "what happens when there are more than --pin-max: block drops nothing and warns; drop-oldest and drop-newest drop whole files, which is a gap that is recorded and counted"},
		word(&c.DeadLetter, "dead-letter", "`FILE` for events that an output refuses; without it: dead-letters.ndjson in --state"),
		word(&c.DeadLetterMax, "dead-letter-max", "most `BYTES` of dead letters; the oldest go first, and are counted"),
		&cli.IntFlag{Name: "max-open", Destination: &c.MaxOpen, Usage: "most files that are open at once"},
		&cli.DurationFlag{Name: "linger", Destination: &c.Linger, Usage: "after SIGTERM, go on until the files have been quiet for this long: for pods where the application gets the signal at the same time"},
		&cli.GenericFlag{Name: "stop-when", Value: stopWhen, Usage: "`URL` as sidecar probe takes it, such as file:///logs/done: when it is true, ship what is left and exit 0; for Jobs. Several must all be true"},
	}
}

func (t *trial) flags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "in", Destination: &t.in, Usage: "`FILE` with lines to decode; - is the standard input"},
		&cli.StringFlag{Name: "input", Destination: &t.input, Usage: "`NAME` of the input whose decodes and transforms are used; the first without it"},
	}
}

func (r *resend) flags() []cli.Flag {
	return []cli.Flag{&cli.BoolFlag{Name: "list", Destination: &r.list, Usage: "print the dead letters and send nothing"}}
}
