package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// shipper is a program that ships logs.
type shipper struct {
	contender
	ours    bool
	env     string // names the program where it is not in PATH
	version string
	argv    func(d *dock, l load) ([]string, error)
}

// ourShipper is the program of this repository with its defaults.
func (b *bench) ourShipper() *shipper {
	return &shipper{contender: contender{name: "sidecar"}, ours: true, argv: func(d *dock, l load) ([]string, error) {
		to := "elasticsearch+" + d.sink.URL + "/logs"
		if l.gzip {
			to += "?gzip=true"
		}
		argv := []string{b.sidecar, "logship", "--to", to, "--state", filepath.Join(l.work, "state"), "--admin", "", "--log-level", "warn"}
		if !l.parse {
			return append(argv, "--path", l.path()), nil
		}
		file := filepath.Join(l.work, "logship.yaml")
		return append(argv, "--config", file), os.WriteFile(file, []byte(fmt.Sprintf(parseConfig, l.path())), 0o600)
	}}
}

// parseConfig parses, adds six fields and takes three keys away.
const parseConfig = `inputs:
  - name: app
    paths: [%s]
    decode: json
    transforms:
      - add:
          kubernetes.pod.name: shop-7c9f5b6d4-x2x7k
          kubernetes.namespace: shop
          kubernetes.node.name: node-17
          kubernetes.container.name: app
          service.name: shop
          service.environment: production
      - redact: {keys: [user, token, password]}
`

// peerShippers are those that this machine may have: in PATH, or where an environment variable says.
func peerShippers() []*shipper {
	return []*shipper{
		{contender: contender{name: "rsyslog", program: "rsyslogd", debian: "rsyslog, rsyslog-elasticsearch"}, env: "BENCH_RSYSLOGD", argv: rsyslogArgs},
		{contender: contender{name: "syslog-ng", program: "syslog-ng", debian: "syslog-ng-core, syslog-ng-mod-http; unpacked into a folder where they cannot be installed beside rsyslog"}, env: "BENCH_SYSLOG_NG", argv: syslogNGArgs},
		{contender: contender{name: "otelcol", program: "otelcol", debian: "none: built by the builder of the OpenTelemetry collector"}, env: "BENCH_OTELCOL", argv: otelcolArgs},
		{contender: contender{name: "telegraf", program: "telegraf", debian: "none: built from its module"}, env: "BENCH_TELEGRAF", argv: telegrafArgs},
	}
}

// peers are those that are here; missing says why others are not.
func (d *dock) peers(names ...string) (here []*shipper, missing []string) {
	for _, s := range peerShippers() {
		if len(names) > 0 && !strings.Contains(strings.Join(names, " "), s.name) {
			continue
		}
		if path := os.Getenv(s.env); path != "" {
			s.program = path
		}
		path, err := exec.LookPath(s.program)
		if err != nil {
			missing = append(missing, fmt.Sprintf("%s: not installed (Debian: %s), and %s is not set", s.name, s.debian, s.env))
			continue
		}
		s.program = path
		s.version = s.ask()
		here = append(here, s)
	}
	return here, missing
}

// ask says which version it is.
func (s *shipper) ask() string {
	flag := map[string]string{"rsyslog": "-v", "syslog-ng": "-V"}[s.name]
	if flag == "" {
		flag = "--version"
	}
	cmd := exec.Command(s.program, flag)
	cmd.Env = append(os.Environ(), "LD_LIBRARY_PATH="+libraries(s.program))
	out, _ := cmd.Output()
	for word := range strings.FieldsSeq(string(out)) {
		if w := strings.Trim(word, "(),v"); strings.ContainsAny(w, "0123456789") && strings.Contains(w, ".") {
			return w
		}
	}
	return "of unknown version"
}

// libraries are where a program that was unpacked and not installed has its own.
func libraries(program string) string {
	root := filepath.Dir(filepath.Dir(filepath.Dir(program)))
	return root + "/usr/lib/syslog-ng:" + root + "/usr/lib/x86_64-linux-gnu:" + root + "/lib/x86_64-linux-gnu"
}

// config writes the file of a peer into its folder and returns its name.
func (l load) config(text string) (string, error) {
	path := filepath.Join(l.work, "config")
	return path, os.WriteFile(path, []byte(text), 0o600)
}

// rsyslogConf has large batches, a queue in memory, and ids from the name and the offset, which are good as long as nothing is rotated.
func rsyslogConf(path, work, addr string, ids bool) string {
	id, meta := "", ""
	if ids {
		id, meta = `dynbulkid="on" bulkid="id" writeoperation="create" `, `addMetadata="on" `
	}
	return fmt.Sprintf(`global(workDirectory="%[2]s" maxMessageSize="64k")
module(load="imfile")
module(load="omelasticsearch")
template(name="doc" type="list") { constant(value="{\"message\":\"") property(name="msg" format="json") constant(value="\"}") }
template(name="id" type="string" string="%%$!metadata!filename%%-%%$!metadata!fileoffset%%")
ruleset(name="es" queue.type="FixedArray" queue.size="100000" queue.dequeueBatchSize="4096" queue.workerThreads="1") {
  action(type="omelasticsearch" server="%[3]s" serverport="%[4]s" template="doc" searchIndex="logs" searchType="" bulkmode="on" %[5]smaxbytes="10m" action.resumeRetryCount="-1" action.resumeInterval="1")
}
input(type="imfile" file="%[1]s" tag="app" ruleset="es" %[6]s)
`, path, work, host(addr), port(addr), id, meta)
}

func rsyslogArgs(d *dock, l load) ([]string, error) {
	file, err := l.config(rsyslogConf(l.path(), l.work, d.addr(), true))
	return []string{program("rsyslog"), "-n", "-f", file, "-i", "NONE"}, err
}

func syslogNGArgs(d *dock, l load) ([]string, error) {
	file, err := l.config(fmt.Sprintf(`@version: 3.38
@module http
@module json-plugin
@module basicfuncs
options { stats-freq(0); use-uniqid(yes); log-msg-size(65536); };
source s { file("%s" flags(no-parse) follow-freq(0.1) log-fetch-limit(4096) log-iw-size(40960)); };
destination d { http(url("%s/logs/_bulk") method("POST") headers("Content-Type: application/x-ndjson") workers(1)
  batch-lines(4096) batch-bytes(2097152) batch-timeout(200) delimiter("\n") body-suffix("\n") log-fifo-size(100000)
  body('{"create":{"_id":"$UNIQID"}}
$(format-json --scope none message=$MSG)')); };
log { source(s); destination(d); flags(flow-control); };
`, l.path(), d.sink.URL))
	p := program("syslog-ng")
	argv := []string{"env", "LD_LIBRARY_PATH=" + libraries(p), p, "-F", "--no-caps", "-f", file, "-R", l.work + "/persist", "-p", l.work + "/pid", "-c", l.work + "/ctl"}
	if modules, _ := filepath.Glob(filepath.Dir(filepath.Dir(p)) + "/lib/syslog-ng/[0-9]*"); len(modules) == 1 {
		argv = append(argv, "--module-path="+modules[0])
	}
	return argv, err
}

func otelcolArgs(d *dock, l load) ([]string, error) {
	file, err := l.config(fmt.Sprintf(`receivers:
  file_log: {include: ["%s"], start_at: beginning, storage: file_storage, poll_interval: 100ms}
exporters:
  otlp_http:
    logs_endpoint: %s/v1/logs
    compression: %s
    sending_queue: {num_consumers: 2, block_on_overflow: true, sizer: items, queue_size: 50000, batch: {flush_timeout: 200ms, min_size: 4000, max_size: 5000, sizer: items}}
    retry_on_failure: {max_elapsed_time: 0}
extensions:
  file_storage: {directory: %s}
service:
  extensions: [file_storage]
  telemetry: {logs: {level: error}, metrics: {level: none}}
  pipelines: {logs: {receivers: [file_log], exporters: [otlp_http]}}
`, l.path(), d.sink.URL, either(l.gzip, "gzip", "none"), l.work))
	return []string{program("otelcol"), "--config", file}, err
}

func telegrafArgs(d *dock, l load) ([]string, error) {
	file, err := l.config(fmt.Sprintf(`[agent]
  flush_interval = "200ms"
  metric_batch_size = 5000
  metric_buffer_limit = 100000
  omit_hostname = true
  quiet = true
[[inputs.tail]]
  files = ["%s"]
  initial_read_offset = "beginning"
  max_undelivered_lines = 10000
  data_format = "value"
  data_type = "string"
  path_tag = ""
[[outputs.http]]
  url = "%s/lines"
  data_format = "influx"
  content_encoding = "%s"
`, l.path(), d.sink.URL, either(l.gzip, "gzip", "identity")))
	return []string{program("telegraf"), "--config", file, "--non-strict-env-handling"}, err
}

// program is the path of a peer that is here.
func program(name string) string {
	for _, s := range peerShippers() {
		if s.name == name {
			if path := os.Getenv(s.env); path != "" {
				return path
			}
			return s.program
		}
	}
	return name
}

func either(b bool, yes, no string) string {
	if b {
		return yes
	}
	return no
}

// addr is the address of the sink.
func (d *dock) addr() string { return strings.TrimPrefix(d.sink.URL, "http://") }
